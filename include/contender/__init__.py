"""Contender's core: deciding, recording and reproducing retraining. Knows nothing of Airflow.

Importing this package is cheap on purpose: a DAG file may import ``contender.spec`` at parse time, so nothing here or
in ``spec`` imports pandas, scikit-learn, MLflow or Great Expectations at module level.
"""

__version__ = "0.1.0"
