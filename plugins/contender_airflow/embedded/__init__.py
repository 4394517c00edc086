"""The embedded Airflow of a home: its folders and settings, its processes, and the supervisor that owns them."""
