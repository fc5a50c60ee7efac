"""The limits of an API key: one definition for the command line and the store."""

from __future__ import annotations

from dataclasses import field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from llm_service.store.database import storable
from seedbed.errors import BadInput

_MAX = 10**12  # of requests, tokens or dollars: more is a mistake, and too much for the database
Count = Annotated[int, Field(strict=True, gt=0, le=_MAX)]
Usd = Annotated[float, Field(gt=0, le=_MAX, allow_inf_nan=False)]
Scope = Literal["chat", "embeddings", "admin"]


def printable(name: str) -> str:
    """The name of a key or a team. Raises BadInput."""
    if name != storable(name, "Name", 100).strip() or not name.isprintable():
        raise BadInput(f"Name {name!r} has leading or trailing spaces or unprintable characters.")
    return name


PlainName = Annotated[str, AfterValidator(printable)]
ModelName = Annotated[str, AfterValidator(lambda name: storable(name, "Model name"))]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class KeyLimits:
    """What a key may do. A limit that is None does not apply."""

    scopes: frozenset[Scope] = field(default=frozenset[Scope]({"chat", "embeddings"}))
    """Permissions: chat, embeddings or admin. Default: chat and embeddings."""
    models: tuple[ModelName, ...] = ()
    """Allowed models. Default: all."""
    rpm: Count | None = None
    """Maximum requests per minute."""
    tpm: Count | None = None
    """Maximum tokens per minute."""
    concurrency: Count | None = None
    """Maximum concurrent requests."""
    budget_usd: Usd | None = None
    """Budget in USD per calendar month (UTC)."""
    team: PlainName = ""
    """Team of the key. Keys of one team share its budget."""
    team_budget_usd: Usd | None = None
    """Budget of the whole team in USD per calendar month; needs `team`."""
    expires: datetime | None = None
    """Expiry time; UTC if it has no time zone. Default: never."""

    @property
    def has_budget(self) -> bool:
        """Whether money limits it: its own budget, or that of its team."""
        return self.budget_usd is not None or self.team_budget_usd is not None

    @model_validator(mode="after")
    def _checked(self) -> KeyLimits:
        if not self.scopes:
            raise ValueError("scopes: at least one is required")
        if self.team_budget_usd is not None and not self.team:
            raise ValueError("a team budget needs a team")
        if self.expires is not None and self.expires.tzinfo is None:
            object.__setattr__(self, "expires", self.expires.replace(tzinfo=UTC))
        return self


def parse_limits(limits: dict[str, Any]) -> KeyLimits:
    """The limits of a new key; None stands for the default. Raises BadInput.

    >>> parse_limits({"rpm": 5, "tpm": None}).rpm
    5
    """
    try:
        parsed = KeyLimits(**{name: value for name, value in limits.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        problem = first["msg"].removeprefix("Value error, ")
        place = f"Invalid {first['loc'][0]} {first['input']!r}: " if first["loc"] else ""
        raise BadInput(f"{place}{problem}.") from None
    if parsed.expires is not None and parsed.expires <= datetime.now(UTC):
        raise BadInput(f"Expiry time {parsed.expires.isoformat()} is in the past.")
    return parsed
