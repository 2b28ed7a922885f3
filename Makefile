# The first of these that is a Python this project runs on; name another one with `make PYTHON=... install`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FRESH := $(VENV)/fresh

# PyTorch's own index of builds for a processor. The package index has those for CUDA on Linux, 4.1 GB more on the disk.
# Where it is out of reach, or this is empty, the package index is taken.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell grep '^torch==' constraints.txt)

# What CI sets: nothing is installed but what has a hash of requirements.lock, from whichever index.
LOCKED ?=

SHELL := bash
.SHELLFLAGS := -e -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install demo demo-monitoring test test-all check bench constraints lock clean

help:  ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(STAMP)  ## Create .venv with everything in the versions of constraints.txt

# Asked first whether it is there, for 20 seconds at most: pip itself would try every address of it, for minutes.
# Without dependencies, which the package index has.
ASK := import runpy, signal; signal.alarm(20); runpy.run_module("pip", run_name="__main__", alter_sys=True)
CPU_TORCH = $(BIN)/python -c '$(ASK)' index versions torch --timeout 5 --retries 0 --index-url '$(TORCH_INDEX)' \
	&& $(BIN)/python -m pip install --no-deps --index-url '$(TORCH_INDEX)' \
		$(if $(LOCKED),--require-hashes --requirement <(sed -n '/^torch==/,/[^\\]$$/p' requirements.lock),'$(TORCH)')
IS_CPU := import importlib.metadata as m, sys; sys.exit("+cpu" not in m.version("torch"))
PACKAGES = $(if $(LOCKED),$(BIN)/python -m pip install --no-deps --require-hashes --requirement requirements.lock \
		$$($(BIN)/python -c '$(IS_CPU)' 2> /dev/null || echo --requirement requirements-cuda.lock) \
	&& $(BIN)/python -m pip install --no-deps --no-build-isolation --editable '.[local$(,)dev]' \
	,$(BIN)/python -m pip install --constraint constraints.txt --editable '.[local$(,)dev]')
, := ,

# Shown of pip's hundreds of lines: the big downloads and the long silence at the end.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || test -n "$(PYTHON)" || { echo 'No Python 3.11 to 3.13 found: name one with make PYTHON=...'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing about 180 packages into $(VENV): two to ten minutes. All of it: $(VENV)/install.log'
	@test -z '$(TORCH_INDEX)' || { $(CPU_TORCH); } > $(VENV)/torch.log 2>&1 \
		|| echo '  $(TORCH_INDEX) cannot be used ($(VENV)/torch.log): torch comes from the package index, on Linux with CUDA'
	@{ $(PACKAGES); } 2>&1 \
		| tee $(VENV)/install.log \
		| sed -nE '/\([0-9.]+ [MG]B\)/p; s/^Installing collected packages.*/  Unpacking: a minute or more without a word/p' \
		|| { tail -n 25 $(VENV)/install.log; exit 1; }
	@touch $@

demo: $(STAMP)  ## Evaluate the sample corpus with the embedded model: no key, no server
	$(BIN)/rageval evaluate examples/configs/demo.yaml

# Four simulated weeks in which answers get worse five days before the end.
demo-monitoring: export MONITORING_DATABASE_URL = sqlite:///runs/demo-monitoring.db
demo-monitoring: $(STAMP)  ## Monitor simulated weeks, judge some of them, write the dashboard, ask the chat a question
	rm -f runs/demo-monitoring.db*
	$(BIN)/rageval simulate --weeks 4 --per-day 200 --evaluated \
		--change "quality=-0.3@$$($(BIN)/python -c 'import datetime as d; print(d.date.today() - d.timedelta(5))')"
	$(BIN)/rageval monitor --judge local --max-conversations 5
	$(BIN)/rageval dashboard --html runs/demo-monitoring.html
	$(BIN)/python examples/ask.py 'How many questions do I need to compare two models?'
	@echo
	@echo 'The dashboard is runs/demo-monitoring.html. To ask yourself: $(BIN)/rageval chat'
	@echo 'What went badly: MONITORING_DATABASE_URL=$(MONITORING_DATABASE_URL) $(BIN)/rageval feedback review'

# Three lanes for two processors: the last one takes longest, and the others take what it leaves. The pipes carry
# nothing: processes in a pipe all hear Ctrl-C, and the failure of any counts. What the first two say comes last.
LANE := $(BIN)/pytest -m "not slow"
test: $(STAMP)  ## Run all tests but the slowest
	@said=$$(mktemp -d); trap 'cat $$said/*; rm -r $$said' EXIT; \
		nice -n 5 $(LANE) tests/served > $$said/1 2>&1 \
		| nice -n 5 $(LANE) --ignore tests/served --ignore tests/flows > $$said/2 2>&1 \
		| $(LANE) tests/flows

test-all: $(STAMP)  ## Run the slowest tests too: Dask, object store, browser, traces, simulated weeks
	$(BIN)/pytest

check: $(STAMP)  ## Check format, lint, types and which room imports which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMP)  ## Measure the request engine and the index; the README's figures come from it
	$(BIN)/python -m benchmarks

constraints:  ## Renew constraints.txt within the bounds of pyproject.toml; HOLD='a==1 b==2' holds packages back
	rm -rf $(FRESH)
	$(PYTHON) -m venv $(FRESH)
	$(FRESH)/bin/python -m pip install --quiet '.[local,dev]' $(HOLD)
	$(FRESH)/bin/python -m pip check
	{ grep '^#' constraints.txt; $(FRESH)/bin/python -m pip list --format freeze --exclude pip --exclude rageval \
		| sed 's/+.*//' | LC_ALL=C sort -f; } > $(FRESH)/constraints.txt
	mv $(FRESH)/constraints.txt constraints.txt
	rm -rf $(FRESH)

# pip can tell the hashes of what it downloads, but not those of other systems. PyTorch's own index may be out of reach, so
# the hashes of its builds are kept as long as torch stays: take new ones from the index's page, beside the files' names.
lock: $(STAMP)  ## Renew requirements.lock, which has the hashes of everything in constraints.txt
	rm -rf $(FRESH) && mkdir $(FRESH)
	$(BIN)/python -m pip install --quiet --target $(FRESH)/uv 'uv>=0.9'
	{ grep -v '^#' constraints.txt; printf '%s\n' hatchling editables tomlkit trove-classifiers async-timeout; } > $(FRESH)/requirements.in
	echo '$(TORCH)' > $(FRESH)/requirements-cuda.in
	printf 'gcsfs\nadlfs\n' > $(FRESH)/requirements-stores.in
	for lock in requirements requirements-cuda requirements-stores; do \
		$(FRESH)/uv/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header --python-version 3.11 \
			$$([ $$lock = requirements ] && echo --no-deps --universal || echo --python-platform x86_64-manylinux_2_28) \
			--constraint constraints.txt --output-file $(FRESH)/$$lock.lock $(FRESH)/$$lock.in > $(FRESH)/$$lock.log; done
	$(BIN)/python deployments/locked.py renew $(FRESH)
	rm -rf $(FRESH)

clean:  ## Remove caches and build products; .venv and runs stay
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find rageval tasks flows tests -name __pycache__ -type d -prune -exec rm -rf {} +
