# One command per intent; .ci/run uses the same ones. `make` alone lists them.

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SEED ?=
RUNTIME_STAMP := $(VENV)/.runtime-installed
PACKAGE_STAMP := $(VENV)/.package-installed
DEV_STAMP := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.PHONY: help run setup

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## set up what is missing, then start the server
	$(BIN)/whatsync serve

setup: $(PACKAGE_STAMP) ## make .venv with everything the server needs (.venv/bin/whatsync)

$(BIN)/python:
	@bash packaging/venv.sh $(VENV) $(PYTHON)

$(RUNTIME_STAMP): requirements.lock requirements-build.lock | $(BIN)/python
	@echo "Installing the locked packages into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-build.lock -r requirements.lock
	@touch $@

$(PACKAGE_STAMP): pyproject.toml $(RUNTIME_STAMP)
	@$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(PACKAGE_STAMP)
	@echo "Installing the locked development packages into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
