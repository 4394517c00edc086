"""The reference in docs/ is made from the models, and is of the settings there are now."""

from __future__ import annotations

import json
import re

from contender.schema import yaml_schema
from documentation import DOCS
from reference import reference


def test_the_page_is_what_the_models_say() -> None:
    page = (DOCS / "reference.md").read_text()
    assert page == reference(), "run python tools/reference.py > docs/reference.md"


def test_every_group_of_settings_is_explained_once() -> None:
    page = reference()
    headings = re.findall(r"^## (\w+)$", page, flags=re.MULTILINE)
    assert sorted(headings) == sorted(set(re.findall(r"#/\$defs/(\w+)", json.dumps(yaml_schema()))))
    assert {link.lower() for link in re.findall(r"\]\(#(\w+)\)", page)} <= {name.lower() for name in headings}


def test_no_setting_is_without_a_word() -> None:
    bare = re.findall(r"^\| `(\w+)` \| (?!\[).* \|  \|$", reference(), flags=re.MULTILINE)
    assert bare == []
