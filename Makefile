# Everything here works on a machine with Python 3.11 to 3.13 and make. It writes into .venv and CONTENDER_HOME only.

PIPELINE ?= churn
CONTENDER_HOME ?= $(CURDIR)/.contender
# Side by side, a module's tests with one worker: they share what it starts. Each may run an Airflow of its own.
WORKERS ?= 2
SEEDS ?= 100
FIRST ?= 0
PIP_CACHE_DIR ?= $(CONTENDER_HOME)/cache/pip
PIP_DISABLE_PIP_VERSION_CHECK = 1
# Exported, so that a recipe can say "$$CONF": JSON keeps its quotes.
export PIPELINE CONF AS_OF ONLY CONTENDER_HOME PIP_CACHE_DIR PIP_DISABLE_PIP_VERSION_CHECK

# By running it: a pyenv shim is there and fails, and Debian's python3 may come without venv.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 \
	&& command -v $$python && break; done)
BIN = .venv/bin
INSTALLED = .venv/installed

.DEFAULT_GOAL := help
.PHONY: help install run up down quick test lint faults bench clean

help:  ## Show this
	@echo "make run [PIPELINE=churn] [AS_OF=2026-03-02] [CONF='{\"sweep.budget\": \"5m\"}']"
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' Makefile | expand -t 12

install: $(INSTALLED)  ## Create .venv and install what requirements.lock names

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 with venv here; say PYTHON=/path/to/python" >&2; exit 1; }
	@echo "installing into .venv with $(PYTHON): once, some minutes the first time"
	@$(PYTHON) -m venv .venv
	@# The lock is whole: nothing is left to resolve, and pip takes `celery[redis]` and `celery` for two packages.
	@$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

run: $(INSTALLED)  ## Train one pipeline now and show the decision
	@$(BIN)/contender run "$$PIPELINE" $${AS_OF:+--as-of "$$AS_OF"} $${CONF:+--conf "$$CONF"}

up: $(INSTALLED)  ## Start Airflow and MLflow in the background
	@$(BIN)/contender up

down:  ## Stop them
	@test ! -x $(BIN)/contender || $(BIN)/contender down

lint: $(INSTALLED)  ## Style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: lint  ## Lint, then the tests of what differs from the last commit [TESTS=tests/unit/judge]
	@$(BIN)/python tools/quick.py $(TESTS)

test: lint  ## Lint, then all tests [WORKERS=2]
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

faults: $(INSTALLED)  ## Kill parts of a running Airflow, seed by seed [SEEDS=100] [FIRST=0]
	@cd tests && ../$(BIN)/python -m faults --seeds "$(SEEDS)" --first "$(FIRST)"

bench: $(INSTALLED)  ## Measure [ONLY=one of them]
	@$(BIN)/python -m bench "$$ONLY"

clean: down  ## Stop everything and remove .venv and caches; the data in .contender stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	@find dags include plugins tests -name __pycache__ -prune -exec rm -rf {} +
	@test ! -d "$$CONTENDER_HOME" || echo "kept $$CONTENDER_HOME: models, runs and keys; remove it by hand to forget them"
