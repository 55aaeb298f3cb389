# make demo | test | test-fast | setup; PYTHON=python3.12 make setup chooses another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Three at the most, as every worker holds TensorFlow; more than cores, as many tests wait for processes and servers.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast check constraints clean

help:
	@echo "make demo       install, label a drawn video with the model that ships, train one on drawn faces (about 5 minutes)"
	@echo "make test       install and run every check and test (up to 15 minutes on 2 cores)"
	@echo "make test-fast  the loop while working (under 2 minutes)"
	@echo "make setup      only install into $(VENV)"
	@echo "make clean      remove $(VENV) and caches; runs under outputs/ stay"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is missing or not Python 3.11, 3.12 or 3.13. Install one, or say which: PYTHON=python3.11 make $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about 1 GB to download the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]" --constraint constraints.txt
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
	  echo "error: OpenCV cannot be loaded: $$($(BIN)/python -c 'import cv2' 2>&1 | tail -1)"; \
	  echo "       On Debian: apt-get install libgl1 libglib2.0-0"; \
	  echo "       On a server without a screen: $(BIN)/pip uninstall -y opencv-python && $(BIN)/pip install 'opencv-python-headless>=4.10,<5'"; exit 2; }
	@touch $@

demo: setup
	@$(BIN)/python -m emotion.demo

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

test: check
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-fast: check
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

# The pins that `make setup` installs: what a fresh resolution of pyproject.toml gives today.
constraints:
	@rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	@build/constraints/bin/pip install --quiet ".[dev]"
	@build/constraints/bin/pip freeze --exclude emotion | grep -v '@' > constraints.txt

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
