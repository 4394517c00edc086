"""This package's metadata as an Airflow provider; the entry point ``apache_airflow_provider`` names it."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Connection types and extra links, in the form of Airflow's provider metadata."""
    text = {"type": ["string", "null"]}
    standard_fields = ["host", "schema", "port", "login", "password", "extra"]
    only_own_fields = {"hidden-fields": standard_fields, "relabeling": {}, "placeholders": {}}
    return {
        "package-name": "contender",
        "name": "Contender",
        "description": "Champion/challenger retraining pipelines from YAML.",
        "connection-types": [
            {
                "hook-class-name": "contender_airflow.hooks.mlflow.MLflowHook",
                "hook-name": "MLflow",
                "connection-type": "mlflow",
                "ui-field-behaviour": {**only_own_fields, "hidden-fields": ["host", "schema", "port", "extra"]},
                "conn-fields": {
                    "tracking_uri": {"label": "Tracking URI (http://..., sqlite:////abs/mlflow.db)", "schema": text},
                    "ui_url": {"label": "Where people open MLflow (for links)", "schema": text},
                },
            },
            {
                "hook-class-name": "contender_airflow.hooks.store.ArtifactStoreHook",
                "hook-name": "Contender artifact store",
                "connection-type": "contender_store",
                "ui-field-behaviour": only_own_fields,
                "conn-fields": {
                    "uri": {"label": "Folder that all workers share, or s3://bucket/prefix", "schema": text},
                    "conn_id": {"label": "S3: connection of type aws; else boto3 looks for itself", "schema": text},
                    "cache": {"label": "S3: folder on the worker for what was fetched", "schema": text},
                    "cache_gib": {"label": "S3: how much that folder may hold, in GiB (20)", "schema": text},
                    "signing_key": {"label": "Path of the Ed25519 signing key (PEM)", "schema": text},
                },
            },
        ],
        "extra-links": [
            "contender_airflow.links.MLflowRunLink",
            "contender_airflow.links.ReportLink",
            "contender_airflow.links.ChecksLink",
        ],
    }
