"""MLflow, the view for people. The only package that imports mlflow; it always uses a client with an explicit URI."""
