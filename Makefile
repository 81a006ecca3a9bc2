# The user's two commands are `run` and `test`; `search`, `check`, `docs` and `bench` are for contributors.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 3
export DO_NOT_TRACK := 1

.PHONY: run test search check docs bench bench-peers gpu-wheels clean

run: .venv/examples
	@echo "== The pipeline as it is: what never ran here runs" && $(BIN)/stepwell run examples/digits/pipeline.py
	@echo && echo "== The same with one parameter changed: what does not depend on it is reused"
	@$(BIN)/stepwell run examples/digits/pipeline.py -p gamma=0.002
	@echo && echo "See the runs in Prefect's UI, signed in: $(BIN)/stepwell server open"
	@echo "Stop the local Prefect server with:      $(BIN)/stepwell server stop"

test: .venv/dev
	$(BIN)/python -m pytest -n $(WORKERS)

search: .venv/dev
	$(BIN)/python -m pytest -n $(WORKERS) --hypothesis-profile=search $$(grep -rl '^@given' tests)

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html"

bench: .venv/dev
	$(BIN)/python benchmarks/bench.py

bench-peers: .venv/dev
	$(BIN)/python benchmarks/peers.py --docs

gpu-wheels:
	$(PYTHON) benchmarks/gpu_wheels.py

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Stepwell needs Python 3.11 or newer: set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/examples .venv/dev .venv/docs: .venv/%: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Stepwell and what it stands on (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

clean:
	rm -rf .venv .bench-peers build site dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
