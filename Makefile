# Every target sets up what it needs: a virtual environment here, and what the tests
# use of the system. `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test check demo bench-dns docs wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: $(VENV)/ready ## start the gateway on its embedded default, unprivileged
	$(BIN)/enforcer run

test: $(VENV)/ready-test ## run the whole suite (as root: with network namespaces)
	scripts/system-packages test
	$(BIN)/pytest $(PYTEST_ARGS)

check: $(VENV)/ready-test ## lint, format, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate.py --check

demo: $(VENV)/ready-test ## an agent refused, served, and its impostor refused: under a minute
	scripts/system-packages demo
	PYTHONPATH=tests $(BIN)/python -m e2e.demo

bench-dns: $(VENV)/ready ## the DNS plane beside dnsdist, unbound and dnsmasq: six minutes, two cores
	scripts/system-packages bench
	PATH="$$PATH:/usr/sbin:/sbin" $(BIN)/python -m bench.dns $(BENCH_ARGS)

docs: $(VENV)/ready-test ## write the generated parts of docs/
	$(BIN)/python scripts/generate.py

wheel: $(VENV)/ready-test ## build the wheel and the sdist into dist/
	$(BIN)/pip install --quiet build
	$(BIN)/python -m build --outdir dist .

clean: ## remove the virtual environments and caches
	rm -rf .venv* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/pip:
	scripts/system-packages run
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/ready: $(VENV)/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/ready-test: $(VENV)/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --editable '.[test,check]'
	@touch $@ $(VENV)/ready
