# `make run` trains, exports and samples the quickstart; `make test` runs the tests, `make test-slow` those that take
# longest, `make test-jax` all that compute, on JAX. All set up .venv on first use.

PYTHON ?= python3.11
BIN := .venv/bin
# The versions this project was tested with; pyproject.toml says which ones it allows.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Two processes; the tests of a file stay together, so that what they share is made once.
PYTEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# What computes on either backend; the rest of the tests would only repeat themselves.
BACKEND_NEUTRAL = tests/custom_layers $(addprefix tests/components/,lab tasks trainer evaluator test_decoding.py test_sampling.py)

.PHONY: run test test-slow test-jax lint format clean

run: .venv/.installed-run
	$(BIN)/python run_pipeline.py run

test: .venv/.installed-dev
	$(PYTEST) -m "not slow"

test-slow: .venv/.installed-dev
	$(PYTEST) -m slow

test-jax: .venv/.installed-dev
	KERAS_BACKEND=jax $(PYTEST) $(BACKEND_NEUTRAL)

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
