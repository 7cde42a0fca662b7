# `make train` and `make test` need Python (3.11 to 3.13) and make; the rest they fetch.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/tiny
CONFIG ?= configs/bias70.py:tiny
ARGS ?=
# Test processes. More than 4 spend their time on compiling the same programs.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
IS_SUPPORTED := 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
# The first Python that will do; `make PYTHON=/path/to/python` overrules.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c $(IS_SUPPORTED) >/dev/null 2>&1 && echo $$p && break; done)
SETTINGS := setup.cfg pyproject.toml constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--progress-bar off -c constraints.txt

.PHONY: help demo train test bench docs lint format hooks clean

help:
	@echo "make demo     find people in three drawn pictures: runs/demo"
	@echo "make train    train on drawn people, in minutes: runs/tiny"
	@echo "              [WORKDIR=runs/tiny] [CONFIG=configs/bias70.py:tiny] [ARGS=--config.x=y]"
	@echo "make lint     format, style, types, layers: nothing is changed"
	@echo "make format   put right what can be put right by itself"
	@echo "make test     lint and all tests, as CI does [JOBS=4]"
	@echo "make bench    how fast it is, beside references: benchmarks.json"
	@echo "make docs     write again what of the pages is generated: minutes"
	@echo "make hooks    the quick part of lint before every commit"
	@echo "make clean    remove $(VENV) and caches; runs and data stay"
	@echo
	@echo "The first of them makes $(VENV) [PYTHON=python3.11]. What there is besides:"
	@echo "$(BIN)/python -m poseseg_jax"

demo: $(VENV)/.installed
	$(BIN)/python -m poseseg_jax.predict --output=runs/demo --draw=joint --square \
		poseseg_jax/box/pictures

train: $(VENV)/.installed
	$(BIN)/python -m poseseg_jax.main --config=$(CONFIG) --workdir=$(WORKDIR) $(ARGS)

test: lint
	$(BIN)/python -m pytest -n $(JOBS)

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

# Pages that say what a program says; tests compare them.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m poseseg_jax.pages --output=docs
	$(BIN)/python -m experiments.readme
	$(BIN)/python -m tests.figures
	$(BIN)/python -m tests.bad_input
	$(BIN)/python -m tests.faults

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

hooks: $(VENV)/.installed-dev
	$(BIN)/pre-commit install

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(or $(PYTHON),false) -c $(IS_SUPPORTED) 2>/dev/null || { \
	  echo "poseseg_jax needs Python 3.11, 3.12 or 3.13, not $$($(or \
	    $(PYTHON),python3) -V 2>&1)."; \
	  echo "Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create environments; on Debian and Ubuntu this helps:"; \
	  echo "apt install python$$($(PYTHON) -c \
	    'import sys; print("%d.%d" % sys.version_info[:2])')-venv"; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(SETTINGS) | $(BIN)/python
	@echo "Installing poseseg_jax and what it needs into $(VENV) (some minutes, once)"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(SETTINGS) | $(BIN)/python
	@echo "Installing poseseg_jax and its tools into $(VENV) (some minutes, once)"
	@$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.installed
