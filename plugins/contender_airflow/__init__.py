"""Contender on Airflow: DAG builders, operators, hooks, links, command line. No maths, no heavy imports."""
