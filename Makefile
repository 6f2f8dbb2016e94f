# `make demo` and `make test` need nothing but Python 3.11: they make .venv and install the tested versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
BENCH_STAMP := $(VENV)/.installed-bench
CLIENTS_STAMP := $(VENV)/.installed-clients

.PHONY: demo test clients check docs notebooks bench bench-accuracy bench-forecast bench-speed clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	touch $@

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	touch $@

demo: $(STAMP)
	$(BIN)/xaq demo --out demo

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

# Clients from PyPI and npm are installed, those of the system are not: gdal-bin, netcdf-bin, cdo, nco, r-cran-stars, r-cran-terra.
$(CLIENTS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[clients]"
	if command -v npm > /dev/null; then npm install --silent --no-save --prefix $(VENV)/node zarrita@0.7; fi
	touch $@

# Programs that are installed here read cubes; tests of the others are skipped with a reason.
clients: $(CLIENTS_STAMP)
	$(BIN)/python -m pytest -m clients -rs tests/clients

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_walls.py tests/test_size_and_words.py tests/test_border.py tests/test_docstrings.py

docs: $(DOCS_STAMP)
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

notebooks: $(DOCS_STAMP)
	$(BIN)/python docs/run_notebooks.py

bench: bench-accuracy bench-forecast bench-speed

bench-accuracy: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks.accuracy

bench-forecast: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks.forecast --known

bench-speed: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks.speed

clean:
	rm -rf $(VENV) demo docs/_build
