# Everything is installed into .venv, with the versions in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format docs bench faults clean

demo: .venv/ready ## look at a sample photo with a real DINOv2
	$(BIN)/regard demo

test: .venv/ready ## the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

check: .venv/ready ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/ready ## run every example in the docs and docstrings
	$(BIN)/python -m pytest tests/test_docs.py

bench: .venv/ready ## measure again every number in docs/performance.md
	$(BIN)/python -m benchmarks

faults: .venv/ready ## kill, fill and damage runs at full scale (hours)
	$(BIN)/python -m pytest tests/faults --slow
	PYTHONPATH=tests $(BIN)/python -m faults.kill_runs --out "$$(mktemp -d)" --kills 200

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv
