# Everything a newcomer needs; the only prerequisite is Python 3.11+ with venv (and a package manager for Chromium).
PYTHON ?= python3
VENV := .venv
# Processes of the tests, two more than there are cores, because many wait; a server that they are told to share
# (TEST_REDIS_URL) can serve only one.
WORKERS ?= $(if $(TEST_REDIS_URL),0,$(shell $(PYTHON) -c 'import os; print(min(6, (os.cpu_count() or 2) + 2))'))
BIN := $(VENV)/bin
SETUP := $(VENV)/.stamp-setup
SOURCES := $(shell find frontend src/tidewire/web/locales -type f -not -path '*/node_modules/*' 2>/dev/null)

.PHONY: demo test check lint bench chaos setup browser assets lock format clean screenshots audit sbom repeat

setup: $(SETUP) assets

$(SETUP): constraints.txt pyproject.toml hatch_build.py
	$(PYTHON) -c 'import sys; sys.exit("Tidewire needs Python 3.11 or newer; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The same function the build hook calls; a no-op while the sources are unchanged.
assets: $(SETUP)
	$(BIN)/python -c 'import hatch_build; hatch_build.build_assets()'

demo: setup ## the whole platform on http://127.0.0.1:8000
	$(BIN)/tidewire demo

browser: $(SETUP)
	$(BIN)/python -m tests.support.chromium

test: setup browser ## the tests, against real Valkey, Postgres and Chromium: what fits into a quarter of an hour; few that fail are tried once more
	$(BIN)/python hatch_build.py run test
	$(BIN)/python .ci/test.py -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long"

test-all: setup browser ## every test, the long ones too
	$(BIN)/python hatch_build.py run test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python hatch_build.py run check

check: lint test ## what CI runs

bench: setup browser
	$(BIN)/python -m bench

# ARGUMENTS='storm --seed 7 --kills 20' for a part of it; nothing else should use the machine.
chaos: setup ## everything breaks under load, for more than half an hour; exit code 1 if anything acknowledged was lost
	$(BIN)/python -m bench.chaos $(ARGUMENTS)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: setup browser ## renew the pictures in docs/
	$(BIN)/python -m tests.support.screenshots

lock: $(SETUP) ## renew constraints.txt and the npm lock
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --universal pyproject.toml --group dev --all-extras \
	  --output-file constraints.txt --no-emit-index-url --generate-hashes --no-annotate --custom-compile-command 'make lock'
	$(BIN)/python hatch_build.py install --package-lock-only --omit-lockfile-registry-resolved

audit: setup ## ask the advisory databases; before a release, not part of check (it needs the network)
	$(PYTHON) -m venv .audit && .audit/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10'
	$(BIN)/python .ci/audit.py .audit/bin/pip-audit

sbom: setup ## the bill of materials, CycloneDX
	$(BIN)/python .ci/sbom.py dist/sbom.cdx.json

# One seed more each time; stops at the first failure with the command that runs it again. N=20 SEED=1 TESTS=...
repeat: setup ## the fault tests again and again with other seeds
	$(BIN)/python .ci/repeat.py

clean:
	rm -rf $(VENV) .audit frontend/node_modules src/tidewire/web/static var .mypy_cache .ruff_cache .pytest_cache .hypothesis
