# `make demo` and `make test` do all the set-up on a fresh machine with python3 (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench growth clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "nvsim needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment. Install it first: apt-get install python3-venv (Debian, Ubuntu) or your system's package" >&2; exit 1; }

$(VENV)/.runtime: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.runtime

demo: $(VENV)/.runtime
	@$(BIN)/nvsim demo

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n auto

# Debian's packages libtree, pax-utils and python3-pyelftools bring the programs that nvsim is compared with.
bench: $(VENV)/.runtime
	@$(BIN)/python -m benchmarks

growth: $(VENV)/.runtime
	@$(BIN)/python -m benchmarks --growth

lint: $(VENV)/.dev
	@$(BIN)/ruff format --check src tests benchmarks
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
