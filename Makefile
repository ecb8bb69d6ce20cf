# make demo   the whole chain on this machine      make test   every test that this machine can run
# make check  format, lint, types, house rules     make bench  speed and memory, side by side with a reference
# make tck    the official kit of the Dataspace Protocol, which needs Java 17 and Maven
# make dcp-tck  the official kit of the Decentralized Claims Protocol, likewise
# make interop  contracts and data with a real Eclipse EDC in both directions; needs Java 17 and Maven
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# Compiled files make every start faster; some machines forbid them.
export PYTHONDONTWRITEBYTECODE :=
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --no-compile

.PHONY: demo test check bench tck dcp-tck interop lock clean

demo: $(VENV)/.runtime
	@$(BIN)/gongshu demo $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n 6 $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -p no:randomly tests/architecture

bench: $(VENV)/.dev
	@$(BIN)/python -m bench $(ARGS)

tck: $(VENV)/.dev
	@$(BIN)/python -m tests.tck $(ARGS)

dcp-tck: $(VENV)/.dev
	@$(BIN)/python -m tests.tck_dcp $(ARGS)

interop: $(VENV)/.dev
	@$(BIN)/python -m tests.interop $(ARGS)

# The project itself is installed in place, without asking any index: its build backend is in the lock file.
$(VENV)/.runtime: requirements/runtime.txt pyproject.toml
	@echo "Setting up $(VENV) (about a minute, once) …" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/pip --disable-pip-version-check uninstall --quiet --yes setuptools
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "Setting up the test tools (about a minute, once) …" >&2
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

# Needs uv on the path; writes versions and hashes, never an address.
lock:
	python3 tools/runtime_requirements.py > requirements/runtime.in
	cd requirements && for name in runtime dev; do \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $$name.in -o $$name.txt; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
