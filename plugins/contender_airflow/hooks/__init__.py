"""Hooks: the connections to the artifact store and to MLflow."""
