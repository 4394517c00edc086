"""The command line, and the embedded Airflow it starts. Nothing here imports Airflow, MLflow, pandas or scikit-learn."""
