# Every target prepares its virtual environment by itself; VENV names another one.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
SOURCES = core audit registry resolver sync node tests benchmarks

.PHONY: help demo test lint type bench soak fuzz

help:  ## Show this
	@grep -E '^[a-z]+: .*##|^[a-z]+:  ##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed  ## Walk through the main job on sample data
	$(BIN)/saltern demo

test: $(VENV)/installed-dev  ## Run the tests (under ten minutes on two cores)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/installed-dev  ## Check style and layers
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports

type: $(VENV)/installed-dev  ## Check types
	$(BIN)/mypy

bench: $(VENV)/installed-dev  ## Measure, and print ratios to a reference
	$(BIN)/python -m benchmarks

soak: $(VENV)/installed-dev  ## Long counts; writes docs/reference/soak.md
	$(BIN)/python -m tests.soak

fuzz: $(VENV)/installed-dev  ## Feed the codecs for a long time
	SALTERN_FUZZ=1 $(BIN)/python -m pytest tests/core tests/store tests/registry -k "total or round_trip or any_bytes or Model or quick"
