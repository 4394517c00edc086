"""The command line. It starts fast: Airflow, MLflow, pandas and scikit-learn are imported only by commands that need them."""
