"""Whose runs and memory a request may see.

owner_of("alice")       # "alice": the name of an API key
"""

from __future__ import annotations


def owner_of(caller: str) -> str:
    """The owner of what a caller of `seedbed.server.service` starts; "" without API keys.

    Runs of the command line have the owner "" too.

    >>> owner_of("alice"), owner_of("local")
    ('alice', '')
    """
    return "" if caller == "local" else caller
