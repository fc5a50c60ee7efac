# The verbs of the repository; `make` alone lists them. A verb first installs what it needs (tools/install.mk).
.DEFAULT_GOAL := help
.SECONDEXPANSION:
MAKEFLAGS += --no-print-directory --no-builtin-rules
# Compiled modules are kept: without them every start of a project takes about 3 s longer.
unexport PYTHONDONTWRITEBYTECODE

# The projects: the name in the verbs, and the folder below projects/.
project-agents := multi_agent
project-finetune := finetune_lora
project-rag := rag_chatbot
project-research := research_repro
project-service := llm_service
project-vision := vision_app
project-workflow := agentic_workflow
# What a verb passes to the project's command, if that is more than the verb's name; `nano` to nano.py.
run-agents := serve
run-finetune := run
run-rag := serve docs
run-research := serve
run-service := serve
run-vision := serve
run-workflow := serve
demo-rag := demo docs
nano-agents := "Within how many days can I return goods after delivery?"
nano-rag := docs
eval-agents := eval --tasks projects/multi_agent/eval/tasks.jsonl
eval-finetune := evaluate --data helpdesk --adapter latest
# Of a copy; here `eval-rag` has its own rule, below.
eval-rag := eval --qa projects/rag_chatbot/eval/questions.jsonl --docs docs
eval-research := run
eval-vision := eval projects/vision_app/eval
eval-workflow := eval --inbox projects/agentic_workflow/eval/mails --gold projects/agentic_workflow/eval/gold.jsonl

# The projects whose folder exists; delete a folder and its verbs are gone.
NAMES := $(foreach name,agents finetune rag research service vision workflow,$(if \
  $(wildcard projects/$(project-$(name))/pyproject.toml),$(name)))
PROJECTS := $(foreach name,$(NAMES),$(project-$(name)))
# The folder of the project with this name; for any other name one line and exit 2.
folder = $(if $(filter $1,$(NAMES)),$(project-$1),$(error Unknown project "$1". Available projects: $(NAMES)))
command = $(BIN)/$(subst _,-,$(call folder,$1))

include tools/install.mk

help: ## Lists these verbs
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {sub("%", "X", $$1); printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "  X is a project: $(NAMES)"

setup: $(VENV)/dev.ready ## Installs all projects and the tools for tests and linting

setup-%: $$(call ready,$$*) ## Installs one project
	@echo "Installed $(call folder,$*). Try: $(call command,$*) --help"

run-%: $$(call ready,$$*) ## Runs the project's main job; PORT= overrides its port
	exec $(if $(PORT),env PORT=$(PORT) )$(call command,$*) $(run-$*)

demo-%: $$(call ready,$$*) ## Runs the main job once on sample input; exits non-zero if the result is wrong
	$(call command,$*) $(or $(demo-$*),demo)

nano-%: $$(call ready,$$*) ## Runs a project's edition of one file, nano.py; ARGS= replaces its arguments
	@$(INSTALL) --quiet -c constraints.txt -e './shared[local,remote]'
	@$(INSTALL) --quiet --no-deps -r shared/models.txt
	$(BIN)/python projects/$(call folder,$*)/nano.py $(or $(ARGS),$(nano-$*))

eval-%: $$(call ready,$$*) ## Measures quality; ARGS= adds options, MLFLOW_TRACKING_URI logs the result
	$(call command,$*) $(or $(eval-$*),eval) $(ARGS)

# Each collection of other people's documents apart; a copy asks the questions in `eval` of the project.
eval-rag: $$(call ready,rag)
	$(BIN)/python benchmarks/answers.py $(ARGS)

# In a network namespace of its own where the system allows it, so that no answer can come from a server.
smoke: $(PROJECTS:%=$(VENV)/%.ready) ## Runs every demo with the network off
	HF_HUB_OFFLINE=1 $$(unshare -rn true 2>/dev/null && echo unshare -rn $(BIN)/python -m tools.loopback) \
	  $(MAKE) $(NAMES:%=demo-%)

# At most four processes, with one numerical thread each, and with two heaps: eight waste 200 MB.
PYTEST := OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=2 $(BIN)/python -m pytest --durations 10 -n auto --maxprocesses 4 \
  --dist loadfile --max-worker-restart 0 --benchmark-disable

test: $(VENV)/dev.ready ## Runs the quick tests; ARGS= adds pytest options
	$(PYTEST) -m 'not slow' $(ARGS)

test-slow: $(VENV)/dev.ready ## Runs the slow tests: clusters, crashes, training, lifted-out projects
	$(PYTEST) -m slow $(ARGS)

test-%: $$(if $$(or $$(tests-$$*),$$(call folder,$$*)),$(VENV)/dev.ready) ## Runs the quick tests of one project, of `shared` or of `repo`
	$(PYTEST) -m 'not slow' $(or $(tests-$*),projects/$(call folder,$*)/tests) $(ARGS)
tests-shared := shared/tests
tests-repo := tests

exercise: ## Lists the exercises of all projects
	$(TOOL) tools.exercises list

exercise-%: ## Copies a project's code with a gap for you to fill: N=1; HINT=1 prints a hint, SOLUTION=1 the solution
	$(TOOL) tools.exercises $(if $(HINT),hint,$(if $(SOLUTION),solve,start)) $(call folder,$*) $(N)

check-%: $$(call ready,$$*) ## Checks your solution of an exercise: N=1
	@$(INSTALL) --quiet -c constraints.txt pytest pytest-asyncio hypothesis
	$(TOOL) tools.exercises check $(call folder,$*) $(N)

new-%: ## Copies a project out of the repository as your own: TO=../my-bot; docs/how-to/your-project.md has the options
	$(TOOL) tools.starter $(call folder,$*) $(if $(TO),"$(TO)") $(if $(EDITION),--edition="$(EDITION)") $(if $(BRAIN),--brain="$(BRAIN)") $(if $(PAPERS),--papers="$(PAPERS)") \
	  $(if $(WITH),--with="$(WITH)") $(if $(WITHOUT),--without="$(WITHOUT)") $(if $(SEEDBED),--seedbed="$(SEEDBED)")

update-copy: # `make update` of a copy calls it, in a clone of this repository
	$(TOOL) tools.starter_update "$(COPY)" $(if $(APPLY),--apply)

flywheel: $$(call ready,finetune) $$(call ready,service) ## Trains a model, serves it, and trains the next one on feedback; a killed run goes on
	$(BIN)/python -m tools.flywheel

bench: $(VENV)/dev.ready ## Measures speed and memory, each beside a peer: benchmarks/results.md
	$(BIN)/python benchmarks/run.py $(ARGS)

lint: $(VENV)/dev.ready ## Runs ruff, mypy and import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.ready ## Updates the generated parts of the docs; exits 1 if something was out of date
	$(BIN)/python -m tools.docs

handbook: | $(BIN)/python ## Serves the handbook as a site with a search; PORT= overrides its port
	$(UV) tool run 'zensical>=0.0.70' serve --dev-addr 127.0.0.1:$(or $(PORT),8010)

doctor: ## Shows what is installed, the model and its weights, and how to get what is missing
	$(TOOL) tools.doctor

prefetch: $$(call ready,rag) ## Downloads and converts a model's weights: MODEL=smollm2
	$(BIN)/python -m seedbed.models.weights prefetch $(or $(MODEL),smollm2)

.PHONY: help setup smoke test test-slow exercise update-copy flywheel bench lint docs handbook doctor prefetch
