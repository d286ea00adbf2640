# Two commands do all the set-up on a fresh machine: `make demo` shows Marathon at work, `make test` proves it.
# Everything they install is in .venv and tests/agents/node_modules; only missing Debian packages go to the system, and only as root.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
AGENTS := tests/agents

.DEFAULT_GOAL := help
.PHONY: help demo test check bench drill docs clean tools npm-tools
.DELETE_ON_ERROR:

help:
	@echo "make demo    see Marathon at work: a daemon killed half-way, nothing lost, nothing done twice (one minute)"
	@echo "make test    install what the tests need, and run them"
	@echo "make check   lint, format and types"
	@echo "make bench   measure ledger, redaction, the start of jobs and daemon, the client, and a ledger of years"
	@echo "make drill   the long fault drills, which \`make test\` leaves out"
	@echo "make docs    write the generated pages anew: docs/protocol.md and docs/openrpc.json"
	@echo "make clean   remove what these commands made"

demo: $(VENV)/.runtime | tools
	@$(BIN)/python demo/run.py

test: $(VENV)/.dev $(AGENTS)/node_modules/.stamp | tools
	@$(BIN)/python -m pytest $(ARGS)

drill: $(VENV)/.dev $(AGENTS)/node_modules/.stamp | tools
	@$(BIN)/python -m pytest -m drill -n 0 --timeout 3600 $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --diff .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/mypy --no-error-summary demo/run.py docs/generate.py
	@for part in bench/*.py; do $(BIN)/mypy --no-error-summary "$$part" || exit 1; done
	@echo "check: ruff and mypy have nothing to say"

bench: $(VENV)/.runtime | tools
	@for part in bench/*.py; do $(BIN)/python "$$part" || exit 1; done

docs: $(VENV)/.runtime
	@$(BIN)/python docs/generate.py

clean:
	@rm -rf $(VENV) $(AGENTS)/node_modules dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find marathond marathonctl tests demo bench docs -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what they need -----------------------------------------------------------------------------------
# A stamp is newer than what it was made from, so a second run installs nothing.

$(VENV)/.runtime: pyproject.toml $(VENV)/.made
	@echo "installing Marathon into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.made
	@echo "installing Marathon and its development tools into $(VENV)"
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Marathon needs Python 3.11 or newer, and there is no $(PYTHON); name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Marathon needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call install,python3-venv)
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@touch $@

# Looked for each time: that costs a few milliseconds, and a package may have been removed.
tools:
	@command -v git >/dev/null || $(call install,git)
	@command -v ps >/dev/null || $(call install,procps)

npm-tools:
	@command -v npm >/dev/null || { \
	  echo "the tests drive real agents from npm: install Node.js 20 or newer with npm 10 or newer" >&2; exit 1; }
	@test "$$(npm --version | cut -d. -f1)" -ge 10 || { \
	  echo "the tests need npm 10 or newer; this one is $$(npm --version)" >&2; exit 1; }

$(AGENTS)/node_modules/.stamp: $(AGENTS)/package.json $(AGENTS)/package-lock.json | npm-tools
	@echo "installing the agents that the tests drive"
	@cd $(AGENTS) && npm ci --silent --no-audit --no-fund
	@touch $@

# $(call install,PACKAGE): by apt-get as root on Debian and its kin, else a sentence that says what is missing.
define install
{ if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "installing $(1)"; \
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $(1); } >/dev/null; \
  else echo "please install $(1) and try again" >&2; exit 1; fi; }
endef
