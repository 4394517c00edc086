"""Contender on Airflow: DAG builders, operators, hooks, links, notifier, command line. No maths, no heavy imports."""
