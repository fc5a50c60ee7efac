"""Callers: the name of an API key, `LOCAL` on a server without keys, or `OPERATOR`."""

from __future__ import annotations

from enum import Enum


class Operator(Enum):
    """The person who runs commands on this machine, and may use every collection."""

    OPERATOR = "operator"


OPERATOR = Operator.OPERATOR
LOCAL = "local"
Caller = str | Operator
