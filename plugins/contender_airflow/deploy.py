"""``python -m contender_airflow.deploy``: prepares a deployment before its other services start. Safe to run again.

Migrates Airflow's database, creates MLflow's beside it, the signing key, and the login of Airflow's user ``admin``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from contender.release.signing import create_key


def main() -> None:
    """Prepare everything that the environment names; ``docker-compose.yaml`` sets it."""
    home = Path(os.environ["CONTENDER_HOME"])
    create_key(home / "keys" / "release_ed25519.pem")
    passwords = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    with os.fdopen(os.open(passwords, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}, file)
    _create_database(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], "mlflow")
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)


def _create_database(url: str, name: str) -> None:
    import psycopg2
    from psycopg2 import sql

    connection = psycopg2.connect(url.replace("postgresql+psycopg2://", "postgresql://"))
    connection.autocommit = True  # a database cannot be created inside a transaction
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    connection.close()


if __name__ == "__main__":
    main()
