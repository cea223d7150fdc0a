# `make check` is all that continuous integration runs; `make quick` leaves out what takes long, and
# `make coverage` tells which lines the tests run.
PYTHON ?= python
# one thread per process: the tests run in one process per core
TEST = OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --dist loadgroup

.PHONY: check quick lint types imports test coverage

check: lint types imports test

quick: lint types imports
	$(TEST) -m "not slow"

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

imports:
	lint-imports

test:
	$(TEST)

coverage:
	$(TEST) --cov --cov-report=term:skip-covered
