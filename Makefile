# One command per intent; .ci/run uses the same ones. `make` alone lists them.

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
WORKERS ?= 3
SEED ?=
COMPILE := $(BIN)/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --quiet
RUNTIME_STAMP := $(VENV)/.runtime-installed
PACKAGE_STAMP := $(VENV)/.package-installed
DEV_STAMP := $(VENV)/.dev-installed
COMPILER_STAMP := $(VENV)/.compiler-installed
NODE_STAMP := $(VENV)/.node-installed
FRONT_STAMP := $(VENV)/.front-installed
FRONT_DEV_STAMP := $(VENV)/.front-dev-installed
RECEIVERS_STAMP := $(VENV)/.receivers-installed

.DEFAULT_GOAL := help
.PHONY: help run setup compile wheel setup-dev test check bench sim lock format clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## set up what is missing, then start the server
	$(BIN)/whatsync serve

setup: $(PACKAGE_STAMP) $(FRONT_STAMP) ## make .venv with all that the server needs (.venv/bin/whatsync)

compile: setup $(COMPILER_STAMP) ## make the hot path machine code: a tenth to a fifth quicker (needs gcc, python3-dev)
	@$(BIN)/python packaging/compile.py

wheel: setup ## build dist/whatsync-*.whl, the package with all that it serves
	@rm -rf dist
	@$(BIN)/hatchling build --target wheel --directory dist

setup-dev: $(DEV_STAMP) $(FRONT_DEV_STAMP) $(RECEIVERS_STAMP) $(COMPILER_STAMP) ## besides, all that tests and checks need
	@bash packaging/debian.sh curl=curl php=php-cli ruby=ruby ruby:sinatra/base=ruby-sinatra puma=puma go=golang-go \
		chromium=chromium pgbouncer=pgbouncer faketime=faketime caddy=caddy \
		library:libatomic.so.1=libatomic1 file:/usr/share/fonts/truetype/dejavu=fonts-dejavu-core gcc=gcc file:/usr/include/stdio.h=libc6-dev \
		file:$(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h=python3-dev
	@$(BIN)/python packaging/compile.py

test: setup-dev ## run every test (WORKERS=3 at once, PYTEST_ARGS=... for pytest)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n $(WORKERS) --maxschedchunk 1 --durations 15 $(PYTEST_ARGS)

check: $(DEV_STAMP) ## formatting, lint rules, strict types and the house's own rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/tidy

format: $(DEV_STAMP) ## format the code and repair what ruff can repair itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## measure this machine: events accepted and delivered per second (BENCH_ARGS=...)
	$(BIN)/whatsync bench $(BENCH_ARGS)

sim: $(DEV_STAMP) ## replay one simulated world, SEED=number (without it: all of the seeds)
	$(BIN)/pytest -q tests/sim $(if $(SEED),--sim-seed $(SEED) -x)

lock: $(DEV_STAMP) ## resolve the newest allowed versions anew into the lock files
	$(COMPILE) pyproject.toml --extra telemetry --output-file requirements.lock
	$(COMPILE) --group build --constraint requirements.lock --output-file requirements-build.lock
	$(COMPILE) pyproject.toml --extra telemetry --group dev --constraint requirements.lock \
		--constraint requirements-build.lock --output-file requirements-dev.lock
	$(COMPILE) --group compile --constraint requirements-dev.lock --output-file requirements-compile.lock
	$(COMPILE) --group node --output-file requirements-node.lock
	cd front && PATH="$(CURDIR)/$(BIN):$$PATH" npm update --package-lock-only --no-audit --no-fund
	cd tests/receivers && PATH="$(CURDIR)/$(BIN):$$PATH" npm update --package-lock-only --no-audit --no-fund

clean: ## remove .venv and everything else that was made here (never a data folder)
	rm -rf $(VENV) dist build front/node_modules src/whatsync/web/static/vendor tests/receivers/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@bash packaging/venv.sh $(VENV) $(PYTHON)

$(RUNTIME_STAMP): requirements.lock requirements-build.lock | $(BIN)/python
	@echo "Installing the locked packages into $(VENV); the first time this takes a minute or two ..."
	@bash packaging/packages.sh $(BIN) requirements-build.lock requirements.lock
	@touch $@

$(PACKAGE_STAMP): pyproject.toml $(RUNTIME_STAMP)
	@echo "Installing WhatsSync itself ..."
	@$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(PACKAGE_STAMP)
	@echo "Installing the locked development packages into $(VENV) ..."
	@bash packaging/packages.sh $(BIN) requirements-dev.lock
	@touch $@

$(COMPILER_STAMP): requirements-compile.lock $(PACKAGE_STAMP)
	@echo "Installing the locked packages that compile the hot path ..."
	@bash packaging/packages.sh $(BIN) requirements-compile.lock
	@touch $@

$(NODE_STAMP): requirements-node.lock packaging/node.sh | $(BIN)/python
	@bash packaging/node.sh $(VENV)
	@touch $@

$(FRONT_STAMP): front/package.json front/package-lock.json front/.npmrc packaging/front.sh $(NODE_STAMP)
	@echo "Installing the dashboard's locked packages ..."
	@bash packaging/front.sh $(BIN) --omit=dev
	@touch $@
	@echo "Ready: $(BIN)/whatsync. Start the server with: make run    See it work: $(BIN)/whatsync demo"

$(FRONT_DEV_STAMP): $(FRONT_STAMP)
	@bash packaging/front.sh $(BIN)
	@touch $@

$(RECEIVERS_STAMP): tests/receivers/package.json tests/receivers/package-lock.json tests/receivers/.npmrc $(NODE_STAMP)
	@echo "Installing the receivers' locked packages ..."
	@cd tests/receivers && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@
