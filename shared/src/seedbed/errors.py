"""Every error a user of Seedbed can meet, in one small tree.

    SeedbedError                 500  something of ours failed
    ├── BadInput                 400  what was sent cannot be used as it is
    │   ├── ConfigError          400  a setting is wrong
    │   └── ContextWindowError   400  more tokens than the model can read
    ├── Unauthorized             401  no key, or not a known one
    ├── Forbidden                403  a known key that may not do this
    ├── NotFound                 404  no such thing, or not yours to see
    ├── TooLarge                 413  over a size limit
    ├── Busy                     429  full for the moment: try again later
    ├── Unavailable              503  a part it depends on is stopped or shutting down
    │   ├── MissingExtra         503  an optional package is not installed
    │   └── WeightsError         503  model weights are missing, wrong or unreachable
    └── DeadlineExceeded         504  it took longer than allowed

Each says what was wrong, with the value, and what to do next. A command prints `str(error)` and
exits 2; an HTTP API answers `error.status` with `error.type` and the same text.
"""

from __future__ import annotations

import logging
import re
import shlex
import sys
from pathlib import Path

UNEXPECTED = "Something failed on our side; it is logged."
"""All that a user reads of an error outside this tree: its text may contain private details."""


def pip_install(what: str) -> str:
    """The command that installs into the running environment, whichever `pip` the shell finds."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return f"{shlex.quote(str(python))} -m pip install {what}"


class SeedbedError(Exception):
    """Base of the tree. `hint` is the next thing to type or try; it becomes part of the text."""

    status = 500
    retry_after: float | None = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint
        self.details: dict[str, str] = {}  # more for clients of an API, such as OpenAI's `param`

    @property
    def type(self) -> str:
        """The name clients switch on, e.g. `context_window_error`."""
        name = type(self).__name__
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class BadInput(SeedbedError):
    status = 400


class ConfigError(BadInput):
    pass


class ContextWindowError(BadInput):
    pass


class Unauthorized(SeedbedError):
    status = 401


class Forbidden(SeedbedError):
    status = 403


class NotFound(SeedbedError):
    status = 404


class TooLarge(SeedbedError):
    status = 413


class Busy(SeedbedError):
    """Carries `retry_after`, in seconds, for the header of the same name."""

    status = 429

    def __init__(self, message: str, *, hint: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unavailable(SeedbedError):
    status = 503


class MissingExtra(Unavailable):
    """An optional package is not installed; the text carries the command that installs it.

    Where no `extra` of ours brings it, the command names the package itself. A project writes its
    own whole: `llm-service[postgres]`.
    """

    def __init__(self, package: str, extra: str = "") -> None:
        extra = extra if not extra or "[" in extra else f"seedbed[{extra}]"
        wanted = f"'{extra}'" if extra else package
        super().__init__(f"{package!r} is not installed.", hint=f"Run: {pip_install(wanted)}")

    @classmethod
    def named_in(cls, error: ImportError) -> MissingExtra:
        """The package that LangChain's error says to install for a vendor's models."""
        found = re.search(r"pip install ([\w.-]+)", str(error))
        package = found[1] if found else error.name or str(error)
        return cls(package, "remote" if package == "langchain-openai" else "")


class WeightsError(Unavailable):
    pass


class DeadlineExceeded(SeedbedError):
    status = 504


def public_message(error: BaseException, log: logging.Logger | None = None) -> str:
    """The text of an error that a user may read; an unexpected one goes to `log` in full.

    >>> public_message(NotFound("No run 'a'."))
    "No run 'a'."
    >>> public_message(KeyError("password"))
    'Something failed on our side; it is logged.'
    """
    if isinstance(error, SeedbedError):
        return str(error)
    if log is not None:
        log.error("unexpected error", exc_info=error)
    return UNEXPECTED
