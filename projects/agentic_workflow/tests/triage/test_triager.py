import pytest

from agentic_workflow.triage.triager import follows_instructions


@pytest.mark.parametrize(
    ("spec", "capable"),
    [("smollm2", False), ("path:var/model", False), ("openai:gpt-4o-mini", True)],
)
def test_capable_models_follow_instructions(spec: str, capable: bool) -> None:
    assert follows_instructions(spec) is capable
