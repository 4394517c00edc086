"""What a pipeline's YAML may say. Imported at DAG parse, so nothing here imports pandas, scikit-learn or MLflow."""
