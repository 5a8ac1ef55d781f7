# Each target first installs .venv from uv.lock, with the uv on PATH or with its own in .uv.
PYTHON ?= python3
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
RUN := .venv/bin
WORKERS ?= 4
KAFKA_TESTS := tests/stream/test_stream.py tests/stream/test_apache_kafka.py tests/stream/test_kafka_security.py tests/pipeline/test_landing.py \
	tests/pipeline/test_exactly_once.py tests/pipeline/test_produce.py tests/pipeline/test_ends.py
# do not touch the virtual environment of the caller
export UV_PROJECT_ENVIRONMENT = .venv
# use the certificates that this machine trusts, for networks that inspect TLS
export UV_SYSTEM_CERTS ?= 1
unexport VIRTUAL_ENV PYTHONPATH
# without compiled files each process would compile its imports again
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo lab airflow env up down logs ps rehearse smoke test test-quick test-kafka test-emulator test-snowflake test-peers \
	test-airflow powerbi lint lint-python lint-rest format bench bench-check notebooks soak clean

# The stack in containers. With the profile demo, the demo's settings are removed from the environment of the shell.
PROFILES ?=
DEMO := $(findstring demo,$(PROFILES))
COMPOSE = $(if $(DEMO),env $$(sed -n 's/^\([A-Z_]*\)=.*/-u \1/p' docker/demo.env)) docker compose --env-file .env \
	$(if $(DEMO),--env-file docker/demo.env) $(addprefix --profile ,$(PROFILES))

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.made  ## run the whole pipeline over recorded data, write one HTML report; COMPANIES=today: ten companies of today's size
	@$(RUN)/stocks demo $(if $(COMPANIES),--companies $(COMPANIES))

lab: .venv/.made  ## open JupyterLab on the notebooks
	@$(RUN)/stocks lab

airflow: .venv-airflow/.made  ## run Airflow on SQLite and the embedded servers, on loopback (PORT=8080), until Ctrl-C
	@exec .venv-airflow/bin/python -m workbench.airflow --port $${PORT:-8080}

env:  ## write the missing secrets of the containers into .env; ROTATE="NAME …" replaces those
	@$(PYTHON) docker/make_env.py $(addprefix --rotate ,$(ROTATE))

up: env  ## start everything in containers (needs Docker); PROFILES=demo: recorded data, no key; also docs, loader
	@$(COMPOSE) up --detach --build --wait

down:  ## stop the containers, with the PROFILES of up; their volumes stay
	@$(COMPOSE) down --remove-orphans

logs:  ## follow the logs of the containers, with the PROFILES of up
	@$(COMPOSE) logs --follow --tail 100

ps:  ## show the state of the containers, with the PROFILES of up
	@$(COMPOSE) ps --all

rehearse: .venv-airflow/.made  ## run the same stack natively, without Docker: PostgreSQL, Kafka, MinIO, Airflow, a backfill
	@.venv-airflow/bin/python tools/rehearse.py

smoke:  ## start the demo's stack in its own containers, check it, remove it (needs Docker)
	@$(PYTHON) tools/smoke.py

test: .venv/.made  ## run every test (WORKERS=4 files at a time)
	@$(RUN)/pytest -n $(WORKERS)

test-quick: .venv/.made  ## run the tests that need no server and no browser
	@$(RUN)/pytest -m "not stack and not browser"

test-kafka: .venv/.made  ## run the tests of the stream on Apache Kafka: fetched by mvn, or the one at KAFKA_BROKER
	@STOCKS_TEST_KAFKA=$${KAFKA_BROKER:-apache} $(RUN)/pytest -n 2 -m "stack or apache" $(KAFKA_TESTS)

test-emulator: .venv/.made  ## load with kills on a Snowflake emulator, compare gold with DuckDB's (some minutes)
	@STOCKS_TEST_SNOWFLAKE=emulator $(RUN)/pytest -n 2 $(addprefix tests/snowflake/,test_parity.py test_realtime.py test_load.py)

test-snowflake: .venv/.made  ## compare gold on the account of SNOWFLAKE_* with DuckDB's, twice, in databases that are dropped
	@for round in 1 2; do STOCKS_TEST_SNOWFLAKE=account $(RUN)/pytest --timeout 3600 tests/snowflake/test_parity.py || exit 1; done

test-peers: .venv-peers/.made  ## compare indicators, metrics and backtests with well-known libraries
	@.venv-peers/bin/pytest -n 2 tests/peers

powerbi: .venv/.made  ## rewrite powerbi/ from recorded bars and check it (POWERBI_SCHEMAS, ripbi: docs/powerbi.md)
	@$(RUN)/python tools/powerbi_project.py
	@$(RUN)/pytest -p no:randomly tests/powerbi

test-airflow: .venv-airflow/.made  ## test the DAGs: parse, run, fail, schedule
	@.venv-airflow/bin/pytest -n 2 -p no:randomly tests/dags lib/workbench/airflow

lint: lint-python lint-rest  ## check with ruff, mypy, import-linter, deptry, sqlfluff, nbstripout (--jobs=2: in parallel)

lint-python: .venv/.made
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-logo --no-cache
	@$(RUN)/deptry lib

lint-rest: .venv/.made
	@STOCKS_WAREHOUSE_FILE=:memory: $(RUN)/sqlfluff lint --disable-progress-bar dbt_stocks/models dbt_stocks/tests
	@$(RUN)/nbstripout --verify $$(git ls-files 'notebooks/*.ipynb')
	@$(RUN)/python tools/notebook_form.py

format: .venv/.made  ## fix what the linters can fix
	@$(RUN)/ruff check --fix-only .
	@$(RUN)/ruff format .
	@STOCKS_WAREHOUSE_FILE=:memory: $(RUN)/sqlfluff fix --disable-progress-bar dbt_stocks/models dbt_stocks/tests

notebooks: .venv/.made  ## rewrite the checked tables of the analysis notebooks from the demo's gold
	@$(RUN)/python tools/notebook_form.py --refresh

bench: .venv-peers/.made  ## run every benchmark; each prints ratios of one run
	@for file in $(filter-out %/bench_check.py %/record.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$file"; .venv-peers/bin/python $$file || exit 1; done

bench-check: .venv-peers/.made  ## fail if a ratio fell by more than a quarter against benchmarks/results (KEEP=1 rewrites them)
	@.venv-peers/bin/python benchmarks/bench_check.py $(if $(KEEP),--keep)

soak: .venv/.made  ## kill every process 100 times, with faults on, then count every event (half an hour)
	@$(RUN)/python tools/soak.py --kills 100 --between 20

clean:  ## stop the embedded servers; remove .venv and caches (data under .stocks/ stays)
	@if [ -x $(RUN)/stocks ]; then $(RUN)/stocks --demo down; $(RUN)/stocks down; fi
	@rm -rf .venv .venv-airflow .venv-peers .uv .pytest_cache .mypy_cache .ruff_cache .hypothesis dbt_stocks/target dbt_stocks/logs
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made: uv.lock pyproject.toml $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)
	@echo "Setting up .venv from uv.lock (once; packages already cached take seconds) …"
	@$(UV) sync --locked
	@touch $@

.venv-airflow/.made: uv.lock pyproject.toml $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)
	@echo "Setting up .venv-airflow from uv.lock: Airflow and its providers, apart from .venv …"
	@UV_PROJECT_ENVIRONMENT=.venv-airflow $(UV) sync --locked --group airflow --compile-bytecode
	@touch $@

.venv-peers/.made: uv.lock pyproject.toml $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)
	@echo "Setting up .venv-peers from uv.lock: the libraries to compare with, apart from .venv …"
	@UV_PROJECT_ENVIRONMENT=.venv-peers $(UV) sync --locked --group peers
	@touch $@

.uv/bin/uv:
	@echo "Setting up uv in .uv, since it is not on PATH …"
	@$(PYTHON) -m venv .uv
	@.uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@touch $@
