# The verbs of the repository; `make` alone lists them. A verb first installs what it needs into .venv
# (tools/install.mk). Projects are handled by pattern rules: a shell loop over them would hide the
# failure of an early one.
.DEFAULT_GOAL := help
.SECONDEXPANSION:
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory --no-builtin-rules
# Compiled modules are kept: without them every start of a project takes about 3 s longer.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONUTF8 := 1

# One block a project: its name in the verbs, its folder below projects/, and the arguments that
# `run`, `demo` and `eval` pass to its command, and `nano` to its edition of one file.
project-rag := rag_chatbot
run-rag := serve docs
demo-rag := demo docs
nano-rag := docs
eval-rag := eval --qa projects/rag_chatbot/eval/questions.jsonl --docs docs

project-service := llm_service
run-service := serve
demo-service := demo
eval-service := eval

project-finetune := finetune_lora
run-finetune := run
demo-finetune := demo
eval-finetune := evaluate --data helpdesk --adapter latest

project-vision := vision_app
run-vision := serve
demo-vision := demo
eval-vision := eval projects/vision_app/eval

project-workflow := agentic_workflow
run-workflow := serve
demo-workflow := demo
eval-workflow := eval --inbox projects/agentic_workflow/eval/mails --gold projects/agentic_workflow/eval/gold.jsonl

project-agents := multi_agent
run-agents := serve
demo-agents := demo
nano-agents := "Within how many days can I return goods after delivery?"
eval-agents := eval --tasks projects/multi_agent/eval/tasks.jsonl

project-research := research_repro
run-research := serve
demo-research := demo
eval-research := run

# The projects whose folder exists; delete a folder and its verbs are gone.
NAMES := $(foreach name,$(sort $(patsubst project-%,%,$(filter project-%,$(.VARIABLES)))),$(if \
  $(wildcard projects/$(project-$(name))/pyproject.toml),$(name)))
PROJECTS := $(foreach name,$(NAMES),$(project-$(name)))
comma := ,
empty :=
AVAILABLE := $(subst $(empty) $(empty),$(comma) ,$(NAMES))
# The folder of the project with this name; for any other name one line and exit 2.
folder = $(if $(filter $1,$(NAMES)),$(project-$1),$(error Unknown project "$1". Available projects: $(AVAILABLE)))
command = $(BIN)/$(subst _,-,$(call folder,$1))

include tools/install.mk

help: ## Lists these verbs
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {sub("%", "X", $$1); printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  X is a project: $(AVAILABLE)"

setup: $(VENV)/dev.ready ## Installs all projects and the tools for tests and linting

setup-%: $$(call ready,$$*) ## Installs one project
	@echo "Installed $(call folder,$*). Try: $(call command,$*) --help"

run-%: $$(call ready,$$*) ## Runs the project's main job; PORT= overrides its port
	$(if $(PORT),PORT=$(PORT) )$(call command,$*) $(run-$*)

demo-%: $$(call ready,$$*) ## Runs the main job once on sample input; exits non-zero if the result is wrong
	$(ISOLATED)$(call command,$*) $(demo-$*)

nano-%: $$(call ready,$$*) ## Runs a project's edition of one file, nano.py; ARGS= replaces its arguments
	@$(UV_INSTALL) --quiet -c constraints.txt -e './shared[local,remote]'
	@$(UV_INSTALL) --quiet --no-deps -r shared/models.txt
	$(BIN)/python projects/$(call folder,$*)/nano.py $(or $(ARGS),$(nano-$*))

eval-%: $$(call ready,$$*) ## Measures quality; ARGS= adds options, MLFLOW_TRACKING_URI logs the result
	$(call command,$*) $(eval-$*) $(ARGS)

# In a network namespace of its own where the system allows it, so that no answer can come from a server.
smoke: ISOLATED = HF_HUB_OFFLINE=1 $(shell unshare -rn true 2>/dev/null && echo unshare -rn $(BIN)/python -m tools.loopback) # keep the space
smoke: $(NAMES:%=demo-%) ## Runs every demo with the network off
	@echo "Demos passed: $(AVAILABLE)"

# One process per core, at most four, each with one numerical thread, and with two heaps, as the usual
# eight per core waste 200 MB. The tests of a file run in the same process and share its fixtures;
# conftest.py says which files start first.
PYTEST := OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2 $(BIN)/python -m pytest --durations 10 -n logical --maxprocesses 4 \
  --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --benchmark-disable
QUICK := -m 'not slow'
SLOW := -m slow

test: $(VENV)/dev.ready ## Runs the quick tests; ARGS= adds pytest options
	@echo "Running the quick tests; make test-slow runs the slow ones."
	$(call leaves_tree_unchanged,$(PYTEST) $(QUICK) $(ARGS))

test-slow: $(VENV)/dev.ready ## Runs the slow tests: clusters, crashes, training, lifted-out projects
	$(call leaves_tree_unchanged,$(PYTEST) $(SLOW) $(ARGS))

test-all: test ## Runs the quick tests, then the slow ones
	@$(MAKE) test-slow

define leaves_tree_unchanged
	@git status --porcelain > $(VENV)/before.txt 2>/dev/null || true
	$1
	@git status --porcelain > $(VENV)/after.txt 2>/dev/null || true
	@diff $(VENV)/before.txt $(VENV)/after.txt || { echo "The tests changed the working tree; the lines above show how."; exit 1; }
endef

test-shared: $(VENV)/dev.ready
	$(PYTEST) $(QUICK) shared/tests $(ARGS)

test-repo: $(VENV)/dev.ready
	$(PYTEST) $(QUICK) tests $(ARGS)

test-%: $$(if $$(call folder,$$*),$(VENV)/dev.ready) ## Runs the quick tests of one project, of `shared` or of `repo`
	$(PYTEST) $(QUICK) projects/$(call folder,$*)/tests $(ARGS)

exercise: ## Lists the exercises of all projects, and which of them you have solved
	@$(call check_python,$(ANY_PYTHON))
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.exercises list

exercise-%: ## Copies a project's code with a gap for you to fill: N=1; HINT=1 prints a hint, SOLUTION=1 fills it
	@$(call check_python,$(ANY_PYTHON))
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.exercises $(if $(HINT),hint,$(if $(SOLUTION),solve,start)) $(call folder,$*) $(N)

check-%: $$(call ready,$$*) ## Checks your solution of an exercise: N=1
	@PYTHONPATH=shared/src $(BIN)/python -m tools.exercises check $(call folder,$*) $(N)

new-%: ## Copies a project out of the repository as your own: TO=../my-bot; docs/how-to/your-project.md has the options
	@$(call check_python,$(ANY_PYTHON))
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.starter $(call folder,$*) $(if $(TO),"$(TO)") \
	  $(foreach option,MODEL=model BRAIN=brain PAPERS=papers WITHOUT=without SEEDBED=seedbed,$(call starter_option,$(subst =, ,$(option))))
# "MODEL model" becomes --model="…" where MODEL= is given.
starter_option = $(if $($(firstword $1)),--$(lastword $1)="$($(firstword $1))")

update-copy: # `make update` of a copy calls it, in a clone of this repository
	@$(call check_python,$(ANY_PYTHON))
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.starter_update "$(COPY)" $(if $(APPLY),--apply)

bench: $(VENV)/dev.ready ## Measures speed and memory, each beside a peer: benchmarks/results.md
	$(BIN)/python benchmarks/run.py $(ARGS)

trace: export TASK ?= What does LoRA train?
trace: $(VENV)/dev.ready ## Asks a question through three servers and prints its trace; TASK="…"
	$(BIN)/python -m tools.stack "$$TASK"

stack: $(VENV)/dev.ready ## Starts MLflow and the servers that work together, until Ctrl-C
	$(BIN)/python -m tools.stack

flywheel: $(VENV)/dev.ready ## Turns corrections of the help desk into a better model, twice; ARGS=rollback takes it back
	$(BIN)/python -m tools.flywheel $(ARGS)

mlflow: $$(call ready,finetune) ## Opens MLflow on the runs of finetune; PORT= overrides its port
	$(if $(PORT),PORT=$(PORT) )$(call command,finetune) mlflow

lint: $(VENV)/dev.ready ## Runs ruff, mypy and import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.ready ## Updates the generated parts of the docs; exits 1 if something was out of date
	$(BIN)/python -m tools.docs

handbook: | $(BIN)/uv ## Serves the handbook as a site with a search; PORT= overrides its port
	$(BIN)/uv tool run 'zensical>=0.0.70' serve --dev-addr 127.0.0.1:$(or $(PORT),8010)

doctor: ## Shows what is installed, the model and accelerators, and how to get what is missing
	@PYTHONPATH=shared/src $(ANY_PYTHON) -m tools.doctor

prefetch: $$(call ready,rag) ## Downloads and converts a model's weights: MODEL=smollm2
	$(BIN)/python -m seedbed.models.weights prefetch $(or $(MODEL),smollm2)

# uv resolves against PyPI alone. The result leaves out torch, whose build depends on the machine, and
# the packages that only its builds require.
lock: | $(BIN)/uv ## Writes exact versions to constraints.txt; UPGRADE=1 takes the newest
	cp constraints.txt $(VENV)/constraints.txt
	printf -- '-e ./shared\n' | $(BIN)/uv pip compile -q --universal --python-version 3.11 $(if $(UPGRADE),--upgrade) \
	  --all-extras --group dev --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --no-emit-package seedbed -o $(VENV)/constraints.txt - shared/pyproject.toml $(PROJECTS:%=projects/%/pyproject.toml)
	@{ echo '# Generated: exact versions for every platform. Torch is left to the machine.'; \
	   sed -E '/^(torch|torchvision|torchaudio|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+|-e .*)(==| |$$)/d' $(VENV)/constraints.txt; } > constraints.txt

# All that is installed here, and what builds the projects. For torch's index see TORCH.
wheelhouse: $(VENV)/dev.ready ## Downloads what setup installs on this kind of system; then: make setup WHEELS=wheelhouse
	$(BIN)/uv pip freeze --python $(VENV) --exclude-editable | sed 's/ @ .*//' > $(VENV)/wheels.txt
	$(BIN)/python -m pip download --quiet --dest wheelhouse hatchling editables
	$(BIN)/python -m pip download --quiet --dest wheelhouse --no-deps --requirement $(VENV)/wheels.txt \
	  $(if $(PIP_FIND_LINKS),,--extra-index-url https://download.pytorch.org/whl/$$(sed -n 's/^torch==.*+//p' $(VENV)/wheels.txt))
	@echo "$$(ls wheelhouse | wc -l) files, $$(du -sh wheelhouse | cut -f1). Copy the folder, then: make setup WHEELS=wheelhouse"

clean: ## Removes .venv and caches; keeps your documents and models
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.PHONY: help setup smoke test test-slow test-all test-shared test-repo exercise update-copy bench trace stack flywheel mlflow lint docs handbook doctor prefetch lock wheelhouse clean
