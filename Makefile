# One word a habit. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Only relative paths below: a checkout whose path has a space in it works.
BIN := .venv/bin
UV := .tools/uv/bin/uv
PYTHON ?= python3
export PYTHON
# The environment is made from the Python that is here, never from one that uv would download.
export UV_PYTHON_DOWNLOADS := never
# Another environment may be active in the caller's shell; this checkout has its own.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help
help: ## This list
	@echo "make …"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 14

.PHONY: demo
demo: jar ## Two real Spark jobs, then Monitor with their runs on http://127.0.0.1:8501
	@$(BIN)/afterglow demo $(ARGS)

.PHONY: test
test: machine-for-test .venv/synced ## Lint, types and all tests; ARGS="-k snapshot" chooses among the tests
	@$(MAKE) lint
	@if tools/bootstrap.sh --has jdk; then $(MAKE) jar shared-classes; fi
	@$(BIN)/pytest -n 2 --durations=10 $(ARGS)

# What each driver of the tests would find out of Spark's jars by itself: a third of its processor time.
.PHONY: shared-classes
shared-classes: .venv/synced
	@$(BIN)/python -m tests.support.shared_classes

.PHONY: matrix
matrix: machine-for-matrix jar shared-classes ## Real drivers in every kind of trouble, on each version of Spark; half an hour
	@$(BIN)/pytest -n 2 -m matrix --durations=10 $(ARGS)

.PHONY: soak
soak: machine-for-test .venv/synced ## Thousands of random filters, asked of MLflow's own search too; half an hour
	@AFTERGLOW_EXAMPLES=25 $(BIN)/pytest -n 2 --timeout=3600 tests/test_search_like_mlflow.py tests/test_filters_of_mlflow.py $(ARGS)

.PHONY: fuzz
fuzz: .venv/synced ## 100,000 malformed requests and lines against collector and ingest; ten minutes
	@AFTERGLOW_EXAMPLES=20 $(BIN)/pytest -n 2 --timeout=7200 tests/test_malformed.py $(ARGS)

.PHONY: lint
lint: .venv/synced ## Formatting, lint rules, types, import contracts
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "not formatted; run: make format"; exit 1; }
	@$(BIN)/mypy
	@report=$$($(BIN)/lint-imports) || { echo "$$report"; exit 1; }

.PHONY: bench
bench: jar ## Measure the hook, event logs, taking runs in, search beside MLflow's, an idle server, and Monitor in Chromium, into docs/benchmarks.md; an hour, on an idle machine
	@$(BIN)/python -m tests.benchmarks.hook
	@$(BIN)/python -m tests.benchmarks.listener
	@$(BIN)/python -W ignore -m tests.benchmarks.event_logs --keep
	@$(MAKE) bench-million
	@for runs in 10000 100000; do $(BIN)/python -W ignore -m tests.benchmarks.search --runs $$runs --keep; done
	@$(MAKE) bench-browser

.PHONY: bench-million
bench-million: .venv/synced ## Of these, what is done with a million runs, which are generated once
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; runs=1000000; \
	$(BIN)/python -W ignore -m tests.benchmarks.generate --runs $$runs --now 1795000000000 "sqlite:///$$folder/mlflow.db"; \
	$(BIN)/python -W ignore -m tests.benchmarks.load --runs $$runs --database "sqlite:///$$folder/mlflow.db" --keep; \
	$(BIN)/python -W ignore -m tests.benchmarks.search --runs $$runs --database "sqlite:///$$folder/mlflow.db" --keep; \
	$(BIN)/python -W ignore -m tests.benchmarks.idle --runs $$runs --database "$$folder/mlflow.db" --seconds 30 --keep; \
	$(BIN)/python -m tests.benchmarks.targets

.PHONY: bench-browser
bench-browser: .venv/synced ## Monitor in Chromium on a million runs, alone and with twenty people, beside MLflow's own pages; half an hour, on an idle machine
	@$(BIN)/python -W ignore -m tests.benchmarks.browser --keep $(ARGS)
	@$(BIN)/python -m tests.benchmarks.targets

.PHONY: bench-overhead
bench-overhead: jar ## What the listener adds to whole jobs, in turns with others; an hour and more, on an idle machine
	@$(BIN)/python -W ignore -m tests.benchmarks.overhead

.PHONY: bench-quick
bench-quick: .venv/synced ## Measure our search among 100,000 runs; fails where it takes twice what was kept
	@$(BIN)/python -W ignore -m tests.benchmarks.search --runs 100000 --ours --check

.PHONY: format
format: .venv/synced ## Format the code and mend what the linter can mend
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

.PHONY: jar
jar: machine-for-jar .venv/synced ## Compile the Spark listener into listener/afterglow/jars/
	@$(BIN)/python listener/build_jar.py

.PHONY: docs
docs: .venv/synced ## The documentation as a site, into build/docs/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/docs/index.html; with the search: python3 -m http.server --bind 127.0.0.1 --directory build/docs 8000"

.PHONY: wheel
wheel: jar ## Build the wheel, with the jar in it, into dist/
	@$(UV) build --wheel

.PHONY: clean
clean: ## Remove what was built: environment, tools, jar, caches
	rm -rf .venv .tools dist build listener/afterglow/jars
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# First of all, so that whoever is not root is told of every missing package at once.
.PHONY: machine-for-jar machine-for-test machine-for-matrix
machine-for-jar:
	@tools/bootstrap.sh python jdk
machine-for-test:
	@tools/bootstrap.sh python --optional jdk chromium postgresql
machine-for-matrix:
	@tools/bootstrap.sh python --optional jdk chromium postgresql faketime

$(UV): tools/bootstrap.sh
	@tools/bootstrap.sh python
	@touch $@

# With byte code where Python may write none itself (PYTHONDONTWRITEBYTECODE): each process that a test starts would
# spend five seconds on compiling MLflow, and an MLflow server a tenth of one at each search.
.venv/synced: $(UV) uv.lock pyproject.toml
	@$(UV) sync --locked --all-extras $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
	@touch $@
