"""What a copy of a project leaves out: the options of `starter.py`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seedbed.errors import BadInput

# The options that take one of these values, or several where there are several.
_VALUES = {"model": ("remote",), "brain": ("llm",), "without": ("exercises", "docker")}


@dataclass(frozen=True)
class Choices:
    """What a copy leaves out.

    `remote`: chat models that run on this machine. Without `offline`: the rules that stand in for a
    model as well. `papers`: all but these, if there are any. `without`: "exercises", "docker".
    `library`: the code of `seedbed`, which is installed from this address, `git+URL@TAG`.

    >>> Choices.parse(["--brain=llm", "--without=docker"]).words
    ['--brain=llm', '--without=docker']
    """

    remote: bool = False
    offline: bool = True
    papers: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    library: str = ""

    @classmethod
    def parse(cls, words: Sequence[str]) -> Choices:
        """The choices of a command line; raises BadInput, whose hint says what is possible."""
        values = dict(word.removeprefix("--").partition("=")[::2] for word in words)
        for name, allowed in _VALUES.items():
            for value in _list(values.get(name, "")):
                if value not in allowed:
                    hint = f"Use {name.upper()}={','.join(allowed)}, or leave it out."
                    raise BadInput(f"Unknown {name.upper()}={value}.", hint=hint)
        library = values.get("seedbed", "")
        if library and not re.fullmatch(r"git\+[a-z]+://\S+@[^@/\s]+", library):
            raise BadInput(
                f"SEEDBED={library} is not the address of a version.",
                hint="Use e.g. SEEDBED=git+https://git.example/seedbed.git@v0.1.0.",
            )
        if library and "model" in values:
            raise BadInput(
                "The library of SEEDBED= contains local models.",
                hint="Leave out MODEL=remote, and set SEEDBED_MODEL in the copy.",
            )
        offline = "brain" not in values
        return cls(
            remote="model" in values or (not offline and not library),
            offline=offline,
            papers=_list(values.get("papers", "")),
            without=_list(values.get("without", "")),
            library=library,
        )

    @property
    def words(self) -> list[str]:
        """The options that `parse` reads."""
        return [
            *(["--brain=llm"] if not self.offline else ["--model=remote"] if self.remote else []),
            *([f"--papers={','.join(self.papers)}"] if self.papers else []),
            *([f"--without={','.join(self.without)}"] if self.without else []),
            *([f"--seedbed={self.library}"] if self.library else []),
        ]


def _list(value: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[, ]+", value) if part)


EVERYTHING = Choices()
