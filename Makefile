# `make`: set up .venv and run the whole benchmark at scale mini. `make test`: set up and run the tests.
# `make rehearsal`: every job of scale paper, at a small size, with random weights.
# `make docs`: write the generated pages of docs/ again. `make lint`: formatting, types, import contracts.
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin
CORES ?= all

.PHONY: run env test rehearsal docs lint clean

run: env
	$(BIN)/snakemake --cores $(CORES) all

env: $(VENV)/.installed

# The lock pins every package; the project itself is installed editable, without resolving again.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

test: env
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

rehearsal: env
	$(BIN)/python -m tests.rehearsal

docs: env
	$(BIN)/python -m qualiclip.bench.cards.schemas && $(BIN)/python -m qualiclip.bench.report.docs && $(BIN)/python -m qualiclip.bench.plan.scales

lint: env
	$(BIN)/mypy && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile workflow && $(BIN)/lint-imports

clean:
	rm -rf build/rehearsal results/mini datasets/raw/mini_* .pytest_cache
