# `make demo` or `make test` on a fresh machine does everything, set-up included.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOCKED := requirements/locked.txt
OLDEST_PYTHON ?= python3.10
# Two processes of one thread each; files stay whole, so that what they share is made once.
PYTEST := -m pytest -n 2 --dist loadfile

.PHONY: setup demo test fuzz test-oldest test-newest lint lock
test fuzz test-oldest test-newest: export OMP_NUM_THREADS := 1

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml $(LOCKED)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint $(LOCKED) --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/reddit-llie train -c demo
	$(BIN)/reddit-llie distill -c demo --chain
	$(BIN)/reddit-llie report -c demo --others light

test: setup
	$(BIN)/python $(PYTEST)

# Random inputs, thousands of each kind, and runs that are killed; `make test` draws a few. Repeated, it goes on.
FUZZ ?= fuzz
fuzz: setup
	$(BIN)/python tests/fuzz/many.py $(FUZZ)
	$(BIN)/python tests/fuzz/kills.py $(FUZZ)/kills 50
	$(BIN)/python tests/fuzz/lost_processes.py $(FUZZ)/lost

# Environments of their own, beside the locked one: what pyproject.toml allows at least, and what pip takes today.
test-oldest:
	test -x .venv-oldest/bin/python || $(OLDEST_PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	.venv-oldest/bin/python -m pip install --quiet -r requirements/oldest.txt
	.venv-oldest/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	.venv-oldest/bin/python $(PYTEST)

test-newest:
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade pip
	.venv-newest/bin/python -m pip install --quiet --editable '.[dev]'
	.venv-newest/bin/python $(PYTEST)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Renew the tested set of versions; run `make test` afterwards and commit both.
lock:
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet --upgrade pip
	.venv-lock/bin/python -m pip install --quiet '.[dev]'
	.venv-lock/bin/python requirements/lock.py > $(LOCKED)
	rm -rf .venv-lock
