# `make run` trains, exports and samples the quickstart; `make test` runs the tests. Both set up .venv on first use.

PYTHON ?= python3.11
BIN := .venv/bin
# The versions this project was tested with; pyproject.toml says which ones it allows.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test lint format clean

run: .venv/.installed-run
	$(BIN)/python run_pipeline.py run

test: .venv/.installed-dev
	$(BIN)/python -m pytest
	KERAS_BACKEND=jax $(BIN)/python -m pytest tests/custom_layers tests/components

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv runs

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25"

.venv/.installed-run: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable ".[corpus]"
	touch $@

.venv/.installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable ".[corpus,dev]"
	touch $@ .venv/.installed-run
