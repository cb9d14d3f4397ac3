# Two commands set everything up: make demo, make test. Both are quick when run again.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format docs clean

demo: .venv/demo.stamp
	$(BIN)/lcmem demo

# memory that is given back and asked for again at every batch costs more than it saves
KEPT := MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TOP_PAD_=33554432

# a process for each core and one thread in each: torch's threads of several processes would fight
test: .venv/dev.stamp lint
	$(KEPT) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/docs.stamp
	$(BIN)/mkdocs build --strict

.venv/demo.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[demo]'
	touch $@

.venv/dev.stamp: .venv/demo.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

.venv/docs.stamp: .venv/demo.stamp
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf .venv lcmem-demo site
