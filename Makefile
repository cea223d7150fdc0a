# `make check` is all that continuous integration runs.
PYTHON ?= python

.PHONY: check lint types imports test

check: lint types imports test

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

imports:
	lint-imports

test:
	$(PYTHON) -m pytest --cov --cov-report=term:skip-covered
