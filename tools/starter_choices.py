"""What a copy of a project leaves out: the options of `starter.py`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.errors import BadInput

_VALUES = {"brain": "llm", "with": "exercises", "without": "docker"}


@dataclass(frozen=True)
class Choices:
    """What a copy leaves out.

    `left_out`: "exercises"; "docker", what is for images; "offline", chat models that run on this
    machine and the rules that stand in for a model. `papers`: all but these, if there are any.
    `library`: the code of `seedbed`, which is installed from this address, `git+URL@TAG`. `words`:
    the options, as `parse` reads them.

    >>> Choices.parse(["--brain=llm", "--with=exercises"]).left_out
    ('offline',)
    """

    left_out: tuple[str, ...] = ("exercises",)
    papers: tuple[str, ...] = ()
    library: str = ""
    words: tuple[str, ...] = ()

    @classmethod
    def parse(cls, words: Sequence[str]) -> Choices:
        """The choices of a command line; raises BadInput, whose hint says what is possible."""
        values = dict(word.removeprefix("--").partition("=")[::2] for word in words)
        for name, allowed in _VALUES.items():
            if (value := values.get(name)) and value != allowed:
                hint = f"Use {name.upper()}={allowed}, or leave it out."
                raise BadInput(f"Unknown {name.upper()}={value}.", hint=hint)
        library = values.get("seedbed", "")
        if library and not re.fullmatch(r"git\+[a-z]+://\S+@[^@/\s]+", library):
            raise BadInput(
                f"SEEDBED={library} is not the address of a version.",
                hint="Use e.g. SEEDBED=git+https://git.example/seedbed.git@v0.1.0.",
            )
        left_out = {
            "exercises": "with" not in values,
            # The image of a copy without the library would need git.
            "docker": "without" in values or library != "",
            "offline": "brain" in values,
        }
        papers = tuple(part for part in re.split(r"[, ]+", values.get("papers", "")) if part)
        names = tuple(name for name, omitted in left_out.items() if omitted)
        return cls(names, papers, library, tuple(words))


EVERYTHING = Choices()
