# Each target installs what it needs into .venv inside this checkout, so a second run is quick.
# TORCH and LIGHTNING are what pip is asked to install. PyTorch is pinned by default, so that a machine without a GPU
# does not fetch another build. Override either with any requirements or pip options, for instance
#   make demo TORCH="torch==2.13.0 --index-url <index of the CUDA build you want>"
#   make test TORCH="torch==2.6.*" LIGHTNING="lightning==2.6.* pytorch-lightning==2.6.*"
TORCH ?= torch==2.13.0
LIGHTNING ?= lightning
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One process for each core, each running whole files of tests; more than eight gain nothing.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile
# What `make quick` and the pre-commit hook run: the rules for files and imports, and one file of each of the main rooms.
QUICK := tests/test_arrows.py tests/test_files.py tests/test_workflow.py tests/sequence/test_one_hot.py \
  tests/prediction/test_predict.py tests/attribution/rules/test_elementwise.py tests/seqlets/test_cuts.py
# The files with tests that `make test` runs a second time; to collect all others would take as long as these tests.
ON_ACCELERATOR := $(shell grep -rl "mark\.accelerator" tests --include="test_*.py")
# What `make accelerator` runs: the rooms that put a model on a device, without the tests of the loops for the CPU.
COMPUTING := --ignore=tests/attribution/kernels tests/attribution tests/callbacks tests/lit tests/metrics tests/prediction tests/test_workflow.py
SOURCES := pyproject.toml toolkit/build_native.py $(wildcard toolkit/seqlight/native/*.[ch])

# If it were set, each process of the tests would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test accelerator check lint quick docs format hooks clean FORCE
.DELETE_ON_ERROR:

demo: $(VENV)/.installed  ## train on real DNA, watch what the model learns, write a report
	$(BIN)/seqlight demo --out demo

test: $(VENV)/.installed-dev  ## run the tests, and some of them again on an accelerator, real or pretended
	$(PYTEST)
	$(PYTEST) $(ON_ACCELERATOR) --on-accelerator -m "accelerator and not slow"

accelerator: $(VENV)/.installed-dev  ## run on an accelerator, real or pretended, all tests that compute something
	$(PYTEST) $(COMPUTING) --on-accelerator -m "not slow"

check: lint test  ## everything that must pass before a change is merged

lint: $(VENV)/.installed-dev  ## check format, style, types and the imports between rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: $(VENV)/.installed-dev  ## run the tests that take seconds
	$(BIN)/python -m pytest -q $(QUICK)

docs: $(VENV)/.installed-dev  ## build the site of the documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.installed-dev  ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

hooks: $(VENV)/.installed-dev  ## run lint and the quick tests at each commit from now on
	$(BIN)/pre-commit install

clean:
	rm -rf $(VENV) demo site toolkit/seqlight/native/_loops*

# Rewritten only when TORCH or LIGHTNING changes, so that another value is installed.
$(VENV)/.torch: FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$(TORCH)" ]; then \
	  echo "== seqlight: making $(VENV) with $(TORCH)"; \
	  { test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); } && \
	  $(PIP) $(TORCH) && echo "$(TORCH)" > $@; \
	fi

$(VENV)/.lightning: $(VENV)/.torch FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$(LIGHTNING)" ]; then \
	  echo "== seqlight: installing $(LIGHTNING)"; \
	  $(PIP) $(LIGHTNING) && echo "$(LIGHTNING)" > $@; \
	fi

$(VENV)/.installed: $(SOURCES) $(VENV)/.torch $(VENV)/.lightning
	@echo "== seqlight: installing the package"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "== seqlight: installing what the tests need"
	@$(PIP) -e ".[dev]"
	@touch $@

FORCE:
