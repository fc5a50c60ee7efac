"""The check of exercise 1; tests of the project prove the steps 2 to 5."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

from agentic_workflow.effects.outbox import Claim, Outbox
from agentic_workflow.store.store import open_cases


def check_1_the_row_is_written_before_the_receiver_is_called() -> None:
    counts = list[int]()

    def deliver(_payload: object, _key: str, claim: Claim) -> str:
        counts.append(len(outbox.list()))
        claim()
        return "receipt"

    with tempfile.TemporaryDirectory() as folder:
        receiver = SimpleNamespace(deliver=deliver, repeatable=False)
        outbox = Outbox(open_cases(Path(folder) / "a.sqlite"), {"smtp": receiver}, "worker")
        outbox.perform("m1:reply", "c1", "smtp", {})
    assert counts == [1], f"expected one call, and one row in the outbox by then, got {counts}"
