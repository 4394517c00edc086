"""What can be known of docker-compose.yaml and the lock without an engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SECRET = re.compile(r"PASSWORD|SECRET|FERNET|KEY$")


def test_every_published_port_is_on_the_loopback_interface() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    variables = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    assert {name for name, _ in variables if SECRET.search(name)} == {name for name, _ in variables}
    assert {rest for _, rest in variables} == {":?set it in .env"}


def test_the_example_environment_names_every_secret_and_gives_none() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yaml").read_text()))
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert {line.removesuffix("=") for line in lines} == asked
    assert all(line.endswith("=") for line in lines)


@pytest.mark.parametrize("name", ["postgres"])
def test_images_from_elsewhere_are_pinned_to_a_release(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:\d+\.\d+[\w.-]*", COMPOSE["services"][name]["image"])


def test_the_image_does_not_run_as_root() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert "\nUSER contender\n" in stages[-1]


def test_every_volume_is_mounted_on_a_folder_that_the_image_gives_to_its_user() -> None:
    """A new volume takes its owner from the image's folder; where the image has none it is root's, and nothing can write."""
    own = {name for name, service in COMPOSE["services"].items() if service.get("image") == "contender:local"}
    mounts = [mount.split(":") for name in own for mount in COMPOSE["services"][name]["volumes"]]
    folders = {mount[1] for mount in mounts if mount[0] in COMPOSE["volumes"]}
    last_stage = (ROOT / "Dockerfile").read_text().split("\nFROM ")[-1].replace("\\\n", " ")
    made, given = (
        set(re.search(rf"&& {command} ((?:/\S+ ?)+)", last_stage)[1].split())
        for command in ("mkdir -p", "chown contender")
    )
    assert folders == {"/var/lib/contender", "/opt/airflow/logs"}
    assert folders <= made
    assert folders <= given


def test_the_lock_has_hashes_and_names_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in text
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links", text)
    requirements = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all(re.match(r"[a-z0-9._-]+(\[[a-z0-9-]+\])?==", line) for line in requirements)
