"""The options of `starter.py`: which edition of a project is copied, and what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.errors import BadInput

# Option → the pattern of its values, and what to suggest for any other value.
_OPTIONS = {
    "edition": ("nano|full", "EDITION=nano or EDITION=full"),
    "brain": ("llm", "BRAIN=llm"),
    "papers": (r"[\w, ]+", "names such as PAPERS=ddim"),
    "with": ("exercises", "WITH=exercises"),
    "without": ("docker", "WITHOUT=docker"),
    "seedbed": (
        r"source|git\+[a-z]+://\S+@[^@/\s]+",
        "SEEDBED=source, or e.g. SEEDBED=git+https://git.example/seedbed.git@v0.1.0",
    ),
}
_OF_FULL = ("brain", "papers", "with", "without")


@dataclass(frozen=True)
class Choices:
    """Which `edition`, and what a copy leaves out.

    `left_out`: "exercises"; "docker", what is for images; "offline", chat models that run on this
    machine and the rules that stand in for a model. `papers`: the only ones to keep; empty for all.
    `library`: the form of `seedbed` in the copy, a "wheel", "source" or the address `git+URL@TAG`.
    `words`: the options from which `parse` makes the same choices.

    >>> Choices.parse(["--edition=full", "--brain=llm", "--with=exercises"]).left_out
    ('offline',)
    """

    edition: str
    left_out: tuple[str, ...]
    papers: tuple[str, ...]
    library: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, words: Sequence[str]) -> Choices:
        """The choices of a command line. Raises BadInput, whose hint gives the valid values."""
        pairs = (word.removeprefix("--").partition("=")[::2] for word in words)
        values = {"edition": "nano", **{name: value for name, value in pairs if value}}
        for name, (pattern, hint) in _OPTIONS.items():
            value = values.get(name)
            if value and not re.fullmatch(pattern, value):
                raise BadInput(f"Unknown {name.upper()}={value}.", hint=f"Use {hint}.")
            if value and name in _OF_FULL and values["edition"] == "nano":
                problem = f"{name.upper()}= does not apply to the nano edition."
                raise BadInput(problem, hint="Add EDITION=full.")
        library = values.get("seedbed", "wheel")
        left_out = {
            "exercises": "with" not in values,
            # The image of a copy without the library would need git.
            "docker": "without" in values or library.startswith("git+"),
            "offline": "brain" in values,
        }
        return cls(
            edition=values["edition"],
            left_out=tuple(name for name, is_out in left_out.items() if is_out),
            papers=tuple(re.findall(r"\w+", values.get("papers", ""))),
            library=library,
            words=tuple(f"--{name}={value}" for name, value in values.items()),
        )
