"""The last errors, for the status page: redacted, cut to a length, and counted if they repeat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from seedbed.errors import SeedbedError
from seedbed.safety.personal_data import redact
from seedbed.safety.secrets import redact_secrets

MAX_MESSAGE = 300  # characters


@dataclass(slots=True)
class RecentError:
    """An error as the page shows it; a repetition only raises `count`."""

    at: str  # ISO 8601, UTC
    request_id: str
    model: str
    type: str
    message: str
    count: int = 1


class RecentErrors:
    """The last 50 different errors, oldest first.

    >>> errors = RecentErrors()
    >>> errors.add("r1", "echo", "busy", "The queue is full.")
    >>> errors.add("r2", "echo", "busy", "The queue is full.")
    >>> [(error.request_id, error.count) for error in errors.list()]
    [('r2', 2)]
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._errors: deque[RecentError] = deque(maxlen=50)

    def list(self) -> list[RecentError]:
        return list(self._errors)

    def add(self, request_id: str, model: str, type_: str, message: str) -> None:
        message = redact(redact_secrets(message[: 4 * MAX_MESSAGE]))
        if len(message) > MAX_MESSAGE:
            message = message[: MAX_MESSAGE - 1] + "…"
        at = self._now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        last = self._errors[-1] if self._errors else None
        # A flood of one refusal must not push all other errors out of the list.
        if last and (last.model, last.type, last.message) == (model, type_, message):
            last.at, last.request_id, last.count = at, request_id, last.count + 1
        else:
            self._errors.append(RecentError(at, request_id, model, type_, message))


def is_rejection(outcome: str) -> bool:
    """Whether an outcome is the client's: a wrong request, or one above a limit.

    >>> is_rejection("bad_input"), is_rejection("busy"), is_rejection("unavailable")
    (True, True, False)
    """
    return outcome in _rejections(SeedbedError)


def _rejections(kind: type[SeedbedError]) -> set[str]:
    own = {kind.__new__(kind).type} if kind.status < 500 else set()
    return own.union(*map(_rejections, kind.__subclasses__()))
