"""Every error a user of Seedbed can meet, in one small tree.

    raise NotFound(f"Unknown collection {name!r}.", hint="Available: docs, wiki.")

The message names the invalid value, and the hint the next step. A command prints `str(error)` and
exits with status 2; an HTTP API responds with `error.status`, `error.type` and the same text.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

UNEXPECTED = "Something failed on our side; it is logged."
"""The only text shown for any other exception, whose own text may be private."""


def pip_install(requirement: str) -> str:
    """The shell command that installs `requirement` into the running Python environment.

    It names this interpreter, because `pip` on the shell's PATH may belong to another one.
    """
    return f"{shell_path(Path(sys.executable))} -m pip install {requirement}"


def with_extra(extra: str) -> str:
    """What pip installs for an extra of seedbed; "" if it is unknown where seedbed came from.

    It names the folder or wheel that seedbed was installed from: the name alone would make pip ask
    a public index, where it is not ours.
    """
    from urllib.parse import urlsplit
    from urllib.request import url2pathname  # imports a whole HTTP client

    try:
        text = Distribution.from_name("seedbed").read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    origin = json.loads(text or "{}")
    url = str(origin.get("url", ""))
    if origin.get("dir_info", {}).get("editable"):
        folder = url2pathname(urlsplit(url).path)
        return f"-e {shlex.quote(f'{folder}[{extra}]')}"
    return shlex.quote(f"seedbed[{extra}] @ {url}") if url else ""


def shell_path(path: Path) -> str:
    """A path as part of a shell command: quoted, and relative if it is in the current folder.

    >>> shell_path(Path("/opt/my models"))
    "'/opt/my models'"
    """
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))


class SeedbedError(Exception):
    """Base of all errors; raised itself for internal failures.

    `hint` is the next command or step for the user and is appended to the text.

    >>> error = NotFound("Unknown model 'x'.", hint="Run: make doctor")
    >>> error.status, error.type, str(error)
    (404, 'not_found', "Unknown model 'x'. Run: make doctor")
    """

    status = 500  # HTTP status
    retry_after: float | None = None  # seconds

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint
        self.details: dict[str, str] = {}  # further HTTP fields: `param`, `code`
        self.headers: dict[str, str] = {}  # further HTTP headers

    @property
    def type(self) -> str:
        """A stable name for clients to switch on: the class name in snake case."""
        name = type(self).__name__
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class BadInput(SeedbedError):
    """The input is invalid; sending it again unchanged fails again."""

    status = 400


class ConfigError(BadInput):
    """A setting, a configuration file or a model spec is invalid."""


class Conflict(BadInput):
    """What is to be created exists already."""

    status = 409


class ContextWindowError(BadInput):
    """Prompt and answer need more tokens than the model's context window."""


class Unauthorized(SeedbedError):
    """The API key is missing or unknown."""

    status = 401


class Forbidden(SeedbedError):
    """The API key is valid but does not permit this."""

    status = 403


class NotFound(SeedbedError):
    """It does not exist, or is not visible to this caller."""

    status = 404


class TooLarge(SeedbedError):
    """The input exceeds a size limit."""

    status = 413


class Busy(SeedbedError):
    """At capacity or over a rate limit; an HTTP API sends `retry_after`, in seconds."""

    status = 429

    def __init__(self, message: str, *, hint: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Unavailable(SeedbedError):
    """A component is stopped or shutting down; a later attempt may succeed."""

    status = 503


class MissingExtra(Unavailable):
    """An optional package is not installed; the hint is the command that installs it.

    `extra` is an extra of seedbed (`torch`) or of a project, written in full
    (`my-project[postgres]`). Without one, the command installs the package itself.
    """

    def __init__(self, package: str, extra: str = "") -> None:
        if "[" in extra:
            requirement = f"'{extra}'"
        else:
            requirement = (with_extra(extra) if extra else "") or package
        super().__init__(f"{package!r} is not installed.", hint=f"Run: {pip_install(requirement)}")

    @classmethod
    def check(cls, *modules: str, extra: str) -> None:
        """Raise if a module of an extra cannot be found; nothing is imported."""
        for module in modules:
            if importlib.util.find_spec(module) is None:
                raise cls(module.replace("_", "-"), extra)

    @classmethod
    def named_in(cls, error: ImportError) -> MissingExtra:
        """The error for the package that LangChain's ImportError names in its `pip install …`."""
        match = re.search(r"pip install ([\w.-]+)", str(error))
        package = match[1] if match else error.name or str(error)
        return cls(package, "remote" if package == "langchain-openai" else "")


class WeightsError(Unavailable):
    """Model weights are missing, corrupt or unreachable."""


class DeadlineExceeded(SeedbedError):
    """The work exceeded its time limit and was stopped."""

    status = 504


class ModelError(SeedbedError):
    """A call of a language model failed; the subclass is the kind of failure.

    `provider_status` is the HTTP status of the provider's reply, None without one. `retryable` is
    whether the same call may succeed later. Replies that were charged although nothing came of the
    call are in `usage` (tokens by LangChain's names) and `cost_usd` (None: unknown price).
    """

    status = 502
    retryable = False

    def __init__(
        self, message: str, *, hint: str = "", provider_status: int | None = None, **details: Any
    ) -> None:
        super().__init__(message, hint=hint, **details)
        self.provider_status = provider_status
        self.usage: dict[str, int] = {}
        self.cost_usd: float | None = 0.0


class ModelAccessError(ModelError):
    """The provider refused the API key, the account or its quota."""


class ModelNotFound(ModelError):
    """The provider has no model of this name, or not for this account."""


class ModelRequestError(ModelError):
    """The provider rejected the request: a parameter, a schema or a tool that it does not allow."""


class RateLimited(ModelError, Busy):
    """The provider's rate limit is reached; `retry_after` is its advice in seconds."""

    status = 429
    retryable = True


class ModelUnavailable(ModelError, Unavailable):
    """The provider is overloaded, failing or unreachable, or broke off its reply."""

    status = 503
    retryable = True


class ModelTimeout(ModelError, DeadlineExceeded):
    """The call got no complete reply within its deadline."""

    status = 504
    retryable = True


class ReplyRefused(ModelError):
    """The model declined to answer, or a content filter removed the answer."""


class InvalidReply(ModelError):
    """A model's reply cannot be used: it is not valid under its schema, for example."""


class ReplyCutOff(InvalidReply):
    """The reply reached the token limit before it was complete; `partial` is its text so far."""

    partial = ""


class EmptyReply(InvalidReply):
    """The reply has neither text nor a tool call."""

    retryable = True


class DiskError(SeedbedError):
    """A write failed: the disk is full, read-only, or over its quota."""


def public_message(error: BaseException, log: logging.Logger | None = None) -> str:
    """The text of an error that a user may read; an unexpected one goes to `log` in full."""
    if isinstance(error, SeedbedError):
        return str(error)
    if log is not None:
        log.error("unexpected error", exc_info=error)
    return UNEXPECTED
