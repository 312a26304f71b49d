# Each target sets up what it needs in .venv inside this checkout; a second run is quick.
# TORCH is what pip installs for PyTorch. The pinned default keeps a machine without a GPU from
# fetching another build; override it with any requirement or pip options, for instance
#   make demo TORCH="torch==2.13.0 --index-url <index of the CUDA build you want>"
TORCH ?= torch==2.13.0
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A process a core, each with whole files of tests; a few are as quick as many.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile
SOURCES := pyproject.toml toolkit/build_native.py $(wildcard toolkit/seqlight/native/*.[ch])

# Without it, each process of the tests compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check format clean FORCE
.DELETE_ON_ERROR:

demo: $(VENV)/.installed  ## train on real DNA, watch it learn, write a report
	$(BIN)/seqlight demo --out demo

test: $(VENV)/.installed-dev  ## run the tests
	$(PYTEST)

check: $(VENV)/.installed-dev  ## format, lint, types, arrows, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

format: $(VENV)/.installed-dev  ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo toolkit/seqlight/native/_loops*

# Rewritten only when TORCH changes, so that another value installs again.
$(VENV)/.torch: FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$(TORCH)" ]; then \
	  echo "== seqlight: making $(VENV) with $(TORCH)"; \
	  { test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); } && \
	  $(PIP) $(TORCH) && echo "$(TORCH)" > $@; \
	fi

$(VENV)/.installed: $(SOURCES) $(VENV)/.torch
	@echo "== seqlight: installing the package"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "== seqlight: installing what the tests need"
	@$(PIP) -e ".[dev]"
	@touch $@

FORCE:
