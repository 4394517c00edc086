"""What a real Airflow learns of the package: its connection types and links, and nothing from the plugins folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_airflows_plugin_loader_takes_nothing_from_the_plugins_folder() -> None:
    """It would import each file there under its bare name, ``mlflow.py`` in the place of mlflow."""
    code = """
import sys
before = set(sys.modules)
from airflow import plugins_manager
plugins = plugins_manager._get_plugins()
own = [name for name, module in sys.modules.items() if "/plugins/contender" in str(getattr(module, "__file__", ""))]
print(sorted(name for name in own if not name.startswith("contender_airflow")), plugins[1])
"""
    assert _python(code, AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins")).splitlines()[-1] == "[] {}"


def test_airflow_knows_our_connection_types_and_links() -> None:
    code = """
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
print(sorted(set(manager.hooks) & {"mlflow", "contender_store", "http", "smtp"}))
print(sorted(link for link in manager.extra_links_class_names if "contender" in link))
"""
    lines = _python(code).splitlines()[-2:]
    assert lines == [
        "['contender_store', 'http', 'mlflow', 'smtp']",
        "['contender_airflow.links.ChecksLink', 'contender_airflow.links.MLflowRunLink', 'contender_airflow.links.ReportLink']",
    ]
