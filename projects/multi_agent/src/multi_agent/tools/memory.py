"""The memory of a team with a model: the operator's tools `remember` and `recall`.

They use a LangGraph store (`runs/checkpoints.py`). The user is asked for permission before a fact
is stored, because a document could also ask a model to remember something.
"""

from contextvars import ContextVar
from hashlib import sha256

from langgraph.store.base import BaseStore

from multi_agent.tools.toolbox import Tool, tool_of
from seedbed.safety.secrets import redact_secrets

OWNER = ContextVar("owner", default="")
"""The owner of the run that calls a tool; each has facts of their own."""


def memory_tools(store: BaseStore) -> list[Tool]:
    def remember(fact: str) -> str:
        """Remember a fact for later tasks, only if the user asks for it."""
        text = redact_secrets(fact)[:500]
        store.put(_facts(OWNER.get()), sha256(text.encode()).hexdigest(), {"text": text})
        return f"Remembered: {text}"

    def recall() -> list[str]:
        """The facts that the user asked to remember."""
        return [item.value["text"] for item in store.search(_facts(OWNER.get()), limit=50)]

    return [tool_of(remember, effects=True), tool_of(recall)]


def erase_facts(store: BaseStore, owner: str) -> None:
    while items := store.search(_facts(owner), limit=50):
        for item in items:
            store.delete(item.namespace, item.key)


def _facts(owner: str) -> tuple[str, ...]:
    return ("facts", owner.encode().hex() or "local")  # a label with a period is refused
