# Everything a newcomer types. `make help` lists it; `make demo` and `make test` are enough.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up demo down reset status test test-unit check format protos lock bench drill image chart

PYTHON ?= python3
VENV   := .local/venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(READY) ## Install what is missing, start everything, print addresses and accounts
	@$(BIN)/python -m deploy.local up

demo: $(READY) ## The main job on the running stack, told step by step
	@$(BIN)/python -m deploy.local up --brief
	@$(BIN)/python -m deploy.demo

down: $(READY) ## Stop everything that `up` started
	@$(BIN)/python -m deploy.local down

reset: $(READY) ## Stop everything and forget the data
	@$(BIN)/python -m deploy.local reset

status: $(READY) ## What runs, and where
	@$(BIN)/python -m deploy.local status

test: $(READY) ## Every test, on the real stack (started by the tests if need be)
	@$(BIN)/pytest

test-unit: $(READY) ## The tests that need no stack
	@$(BIN)/pytest tests/unit tests/contracts

check: $(READY) ## Format, lint, types, contracts, compose file, chart
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/buf format --exit-code --diff protos
	@$(BIN)/buf lint
	@$(BIN)/python -m deploy.breaking
	@$(BIN)/python -m deploy.chart lint

format: $(READY) ## Format the code and the contracts
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/buf format -w protos

protos: $(READY) ## Generate Python from the contracts
	@$(BIN)/python -m backbone.protos

lock: $(READY) ## Pin what pyproject.toml asks for (hashes, no address); UPGRADE=1 for newer
	@$(BIN)/python -m deploy.lock

bench: $(READY) ## Measure against peers, and write docs/benchmarks.md
	@$(BIN)/python -m bench

drill: $(READY) ## Inject faults into the running stack, and give a verdict
	@$(BIN)/python -m deploy.local up --brief
	@$(BIN)/python -m drills

image: ## Build the container image (needs Docker)
	docker build --file deploy/Dockerfile --tag backbone:local .

chart: $(READY) ## Render the Helm chart's example again
	@$(BIN)/python -m deploy.chart golden

# The environment: made once, and again when its inputs change.
$(READY): requirements.lock pyproject.toml $(shell find protos -name '*.proto') backbone/protos.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	    || { echo "Python 3.11 to 3.13 is needed: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	    || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@cmp -s requirements.lock $(VENV)/requirements.lock || { \
	    echo "Python packages …"; \
	    $(PYTHON) -m venv --clear $(VENV); \
	    $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	    cp requirements.lock $(VENV)/; }
	@$(BIN)/python -m backbone.protos
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
