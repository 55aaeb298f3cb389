# make demo | test | test-fast | test-all | test-docs | setup; PYTHON=python3.12 make setup chooses another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Three at the most, as every worker holds TensorFlow; more than cores, as many tests wait for processes and servers.
WORKERS ?= 3

# Hundreds of processes import the package: what Python compiled is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-all test-docs newest mutants check docs constraints vulnerabilities release clean

help:
	@echo "make demo       install, label a drawn video with the model that ships, train one on drawn faces (about 5 minutes)"
	@echo "make test       install, run the checks and all tests that a push needs (up to 10 minutes on 2 cores)"
	@echo "make test-fast  the loop while working (up to 90 seconds)"
	@echo "make test-all   all tests but the next, with coverage, and the quick ones with the newest dependencies (about 22 minutes)"
	@echo "make test-docs  type what the documentation prints, tutorials to their end (about 8 minutes)"
	@echo "make mutants    change the code that must never be wrong and list what no test notices (an hour or more)"
	@echo "make docs       this documentation as a site, build/docs/index.html"
	@echo "make release    wheel and source archive in dist/, checked, and the wheel installed and used in a fresh environment"
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

# Warnings are errors, such as a link that leads nowhere; nothing is asked of the network.
docs: setup
	@$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet --nitpicky -d build/doctrees docs build/docs
	@echo "written: build/docs/index.html"

# $(call checked,python's options,pytest's options): tests, with the checks beside them, whose output is shown whole when
# they end; fails if either does.
PYTEST := -m pytest --dist worksteal
define checked
	@start=$$(date +%s); mkdir -p build; \
	{ $(MAKE) --no-print-directory check >build/check.log 2>&1; code=$$?; cat build/check.log; exit $$code; } & checks=$$!; \
	$(1) $(PYTEST) $(2); tests=$$?; wait $$checks; checks=$$?; \
	test $$checks = 0 || echo "the checks failed; their output is in build/check.log"; \
	echo "make $@ took $$(($$(date +%s) - start)) s"; test $$tests = 0 && test $$checks = 0
endef

test: setup
	$(call checked,$(BIN)/python,-n $(WORKERS) -m "not nightly and not documentation")

# Two workers: nothing waits, and each imports TensorFlow.
test-fast: setup
	$(call checked,$(BIN)/python,-n 2 -m "not slow and not nightly and not documentation" --hypothesis-profile=quick)

# What the pages print, typed: trainings, sweeps and a search, most of it with the values that they show.
test-docs: setup
	@start=$$(date +%s); $(BIN)/python $(PYTEST) -n $(WORKERS) -m documentation; code=$$?; \
	echo "make $@ took $$(($$(date +%s) - start)) s"; exit $$code

# Everything but the documentation's tests, once: one worker more, as kills, queues and benchmarks wait a lot. What a push
# needs is measured by coverage, processes included. The environment of the newest dependencies is made meanwhile.
# Nightly tests take turns, most each third night, which are counted by days; `make test-all NIGHT=` runs all.
NIGHT ?= $(shell expr $$(date +%s) / 86400)
test-all: setup
	@start=$$(date +%s); mkdir -p build; rm -rf build/coverage; \
	$(MAKE) --no-print-directory newest-environment >build/newest.log 2>&1 & made=$$!; \
	$(MAKE) --no-print-directory --keep-going covered coverage; tests=$$?; \
	wait $$made || { cat build/newest.log; tests=1; }; $(MAKE) --no-print-directory newest || tests=1; \
	echo "make $@ took $$(($$(date +%s) - start)) s"; test $$tests = 0

.PHONY: covered coverage newest-environment
covered: setup
	$(call checked,$(BIN)/coverage run,-n $$(($(WORKERS) + 1)) -m "not documentation" $(if $(NIGHT),--night=$(NIGHT)))

coverage:
	@$(BIN)/coverage combine --quiet
	@rm -f build/coverage/data.*  # of processes that a test killed while they wrote it
	@echo "branch coverage, the least covered modules first:"
	@$(BIN)/coverage report | sed -n '1,12p;/^TOTAL/p'

# The newest versions that pyproject.toml allows, in an environment of their own.
newest-environment:
	@$(PYTHON) -m venv --clear build/newest
	@build/newest/bin/pip install --quiet --disable-pip-version-check --editable ".[dev]"

newest:
	@test -x build/newest/bin/pytest || $(MAKE) --no-print-directory newest-environment
	@build/newest/bin/python $(PYTEST) -n 2 -m "not slow and not nightly and not documentation"

# Changes the code that must never be wrong, one place after the other, and lists what no test notices (an hour or more).
mutants: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[mutants]" --constraint constraints.txt
	@$(BIN)/mutmut run --max-children $(WORKERS) && $(BIN)/mutmut results

# The pins that `make setup` installs: what a fresh resolution of pyproject.toml gives today.
constraints:
	@rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	@build/constraints/bin/pip install --quiet ".[dev,mutants]"
	@build/constraints/bin/pip install --quiet --upgrade setuptools  # needed by TensorFlow, and left out by pip freeze
	@build/constraints/bin/pip freeze --all --exclude emotion --exclude pip | grep -v '@' > constraints.txt

# Asks the advisory databases of PyPI and OSV about every pinned version.
vulnerabilities:
	@$(PYTHON) -m venv --clear build/vulnerabilities
	@build/vulnerabilities/bin/pip install --quiet --disable-pip-version-check pip-audit
	@build/vulnerabilities/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

# The wheel and the source archive in dist/, built and checked with tools of their own; the wheel is installed in a fresh
# environment, and trains a network in another folder.
release:
	@test -z "$$(git status --porcelain)" || { echo "error: commit first, a release holds what is committed"; exit 2; }
	@rm -rf dist build/release && $(PYTHON) -m venv build/release/tools
	@build/release/tools/bin/pip install --quiet --disable-pip-version-check build twine
	@build/release/tools/bin/python -m build --outdir dist .
	@build/release/tools/bin/twine check --strict dist/*
	@$(PYTHON) -m venv build/release/fresh
	@build/release/fresh/bin/pip install --quiet --disable-pip-version-check dist/*.whl --constraint constraints.txt
	@cd build/release && fresh/bin/emotion --version && \
	  fresh/bin/emotion train experiment=quickstart dataset.per_emotion=20 trainer.epochs=1 trainer.bootstrap=50 && \
	  fresh/bin/emotion runs
	@echo "dist/ holds:" && ls -l dist

clean:
	rm -rf $(VENV) build dist mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis
