# `make check` is all that continuous integration runs; `make quick` leaves out what takes long, and
# `make coverage` tells which lines the tests run.
PYTHON ?= python
# processes of one thread, one more than cores, because tests wait for browsers and other processes
WORKERS = $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)")
TEST = OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(WORKERS) --dist loadgroup

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
