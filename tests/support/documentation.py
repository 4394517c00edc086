"""What the documentation tells people to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def commands(page: str) -> str:
    """A page's shell blocks as one script."""
    return "\n".join(blocks(page, "sh"))


def blocks(page: str, language: str) -> list[str]:
    """A page's blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)
