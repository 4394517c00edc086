# One image for every Airflow component and for the MLflow server; what differs is the command.
FROM python:3.12-slim-bookworm AS build
WORKDIR /opt/contender
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock pyproject.toml README.md ./
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-deps --require-hashes -r requirements.lock
COPY include include
COPY plugins plugins
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation "."

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install --no-install-recommends -y libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --create-home contender \
    && mkdir -p /opt/airflow/logs /var/lib/contender \
    && chown contender /opt/airflow /opt/airflow/logs /var/lib/contender
COPY --from=build /opt/venv /opt/venv
COPY --chown=contender dags /opt/airflow/dags
# The process that tasks fork from (a scheduler, a Celery worker) imports the libraries once.
RUN mkdir /opt/airflow/config \
    && printf 'from contender_airflow.preimport import preimport\n\npreimport()\n' \
       > /opt/airflow/config/airflow_local_settings.py
ENV PATH=/opt/venv/bin:$PATH \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    MLFLOW_DISABLE_TELEMETRY=true \
    OMP_NUM_THREADS=1
USER contender
WORKDIR /opt/airflow
ENTRYPOINT ["tini", "--"]
CMD ["airflow", "version"]
