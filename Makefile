# make run              set up, then the flights project from raw files to a served prediction   (PROJECT=... for another)
# make test-fast        set up, then the tests that start no dbt, no verb and no server; under 90 seconds
# make test             set up, then the tests of all that `make run` promises; at most 12 minutes on two cores
# make test-deep        set up, then the rest: increments, hot swaps, another engine; at most 6 minutes
# make test-properties  the property tests with other draws and more of them: SEED=7 EXAMPLES=1000
# make serve | build | lint | clean | lock | bench-etl ROWS=1000000
PROJECT ?= flights
PORT ?= 3000
ROWS ?= 1000000
SEED ?= $(shell date +%s)
EXAMPLES ?= 1000
PYTHON ?= python3
# Torch's wheels for graphics cards are large. An index with CPU wheels: make run TORCH_INDEX=URL
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(shell sed -n 's/^torch==/torch==/p' requirements.lock 2>/dev/null)
export BENTOML_DO_NOT_TRACK := True
export DO_NOT_TRACK := 1
lint: export DBT_LOG_PATH := build/lint


.PHONY: bench-etl run test test-deep test-fast test-properties serve build lint clean lock setup help

help:
	@sed -n '1,6p' Makefile

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "error: $(PYTHON) is not Python 3.11 or 3.12; do: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) has no venv; do: apt-get install python3-venv"; exit 1; }
	@echo "setting up $(VENV): some hundred packages of exact versions, a few minutes the first time"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

run: $(READY)
	@$(BIN)/skewless run $(PROJECT)

serve: $(READY)
	@$(BIN)/skewless serve $(PROJECT) --port $(PORT)

build: $(READY)
	@$(BIN)/skewless ingest $(PROJECT)
	@$(BIN)/skewless build $(PROJECT)

test: $(READY)
	$(BIN)/python -m pytest -m "not deep"

test-deep: $(READY)
	$(BIN)/python -m pytest -m deep

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not dbt and not server and not slow"

# What it finds is fixed, and kept as an @example of its test.
test-properties: $(READY)
	PROPERTY_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m property --hypothesis-seed=$(SEED)

bench-etl: $(READY)
	@$(BIN)/python tests/bench/etl.py --rows $(ROWS)

lint: $(READY)
	$(BIN)/ruff format --check ml serving tests/python tests/bench
	$(BIN)/ruff check ml serving tests/python tests/bench
	$(BIN)/mypy
	SKEWLESS_ROOT=build/lint $(BIN)/dbt --quiet compile --no-introspect --no-populate-cache --target-path build/lint/duckdb
	$(BIN)/sqlfluff lint --dialect duckdb $$(find build/lint/duckdb/compiled -name '*.sql' -not -path '*.yml/*')
	SKEWLESS_ROOT=build/lint AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none $(BIN)/dbt --quiet compile --target athena --no-introspect --no-populate-cache --target-path build/lint/athena
	$(BIN)/sqlfluff lint --dialect athena $$(find build/lint/athena/compiled -name '*.sql' -not -path '*.yml/*')

# Exact versions of everything, from a fresh environment. A wheel's local version (+cpu) is left out: any build of it will do.
lock:
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	build/lock/bin/python -m pip install --quiet 'setuptools>=77' '.[dev]'
	build/lock/bin/python -m pip freeze --all | grep -vE '^(pip|triton)==|^skewless|^nvidia-(cu|nccl|nv)|^cuda-' | sed 's/+cpu$$//' > build/lock.txt
	mv build/lock.txt requirements.lock
	rm -rf build/lock

clean:
	rm -rf build target logs .pytest_cache .mypy_cache .ruff_cache
	@echo "kept: .venv (the environment) and .skewless (raw data, models); remove them by hand if you mean it"
