"""``python -m contender.verify``: check one version in a fresh process. Reads its task as JSON from standard input."""

from __future__ import annotations

import json
import sys

from contender.backends import Backends
from contender.errors import ContenderError


def main() -> int:
    """0 when the version is what was released and predicts what it must; else 1 with the reason as the last line."""
    from contender.release import check_version

    task = json.load(sys.stdin)
    backends = Backends.connect(store=task["store"], tracking_uri=task["tracking_uri"], signing_key=task["signing_key"])
    try:
        check_version(backends, task["pipeline"], task["run_id"], task["version"])
    except ContenderError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
