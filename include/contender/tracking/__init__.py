"""MLflow, the view for people. The only package that imports mlflow; always with an explicit client and URI."""
