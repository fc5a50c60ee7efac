"""Chat models of a run: recorded, and within its budget."""

from contextlib import contextmanager

import pytest

from multi_agent.runs.budget import Budget, OverBudget
from multi_agent.runs.ledger import Ledger
from multi_agent.runs.record_model import RecordedModel
from multi_agent.runs.store import RunStore
from seedbed.errors import ReplyCutOff
from seedbed.models.load import load_chat_model
from seedbed.models.scripted import ScriptedChatModel
from seedbed.settings import Settings
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor


@pytest.fixture
def run_store(tmp_path):
    return RunStore(tmp_path / "runs.sqlite")


@pytest.fixture
def run_id(run_store):
    return run_store.create("task").id


@pytest.fixture
def open_vendor(monkeypatch):
    """A server with these replies, and the model that asks it."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")

    @contextmanager
    def open_vendor(replies):
        with launch_vendor(replies) as vendor:
            settings = Settings(base_url=f"{vendor.url}/v1", _env_file=None)
            yield vendor, load_chat_model("openai:gpt-4o-mini", settings=settings)

    return open_vendor


@pytest.fixture
def open_model(run_store, run_id):
    """The model of a run, each time as another process opens it."""

    def open_model(script=(), role="planner", **fields):
        model = ScriptedChatModel(list(script)) if isinstance(script, list | tuple) else script
        return RecordedModel(role=role, model=model, ledger=Ledger(run_store, run_id), **fields)

    return open_model


def test_recorded_call_is_not_made_again_after_a_restart(open_model):
    model = ScriptedChatModel(["one", "two"])
    open_model(model).invoke("Hi")
    resumed = open_model(model)
    assert [resumed.invoke("Hi").text, resumed.invoke("Hi").text] == ["one", "two"]
    assert len(model.calls) == 2


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_usage_is_what_a_vendor_counts(open_model, run_store, run_id, mode, open_vendor):
    """One reply that is cut off and charged, one with its usage, one that is asked for again."""
    budget = Budget()
    answers = [Reply("Hello, how", finish="length"), "Hello.", Reply(fault="500"), "Hi."]
    with open_vendor(answers) as (vendor, vendor_model):
        model = open_model(vendor_model, budget=budget)
        with pytest.raises(ReplyCutOff):
            list(getattr(model, mode)("Hello"))
        for text in ("Hello.", "Hi."):
            reply = getattr(model, mode)("Hello")
            assert "".join(m.text for m in ([reply] if mode == "invoke" else reply)) == text
    counted = (vendor.usage.input_tokens, vendor.usage.output_tokens)
    usd = (counted[0] * 0.15 + counted[1] * 0.6) / 1e6
    for usage in (budget.usage, Ledger(run_store, run_id).usage()):
        assert usage["tokens"] == sum(counted)
        assert usage["usd"] == pytest.approx(usd, rel=1e-9)


def test_reply_without_usage_is_estimated(open_model, open_vendor):
    budget = Budget()
    with open_vendor([Reply("a" * 40, usage=False)]) as (_vendor, model):
        open_model(model, budget=budget).invoke("b" * 21)
    assert budget.usage["tokens"] == 6 + 10
    assert budget.usage["usd"] == pytest.approx((6 * 0.15 + 10 * 0.6) / 1e6)


@pytest.mark.parametrize("limits", [{"tokens": 60}, {"usd": 30e-6}])
def test_budget_is_exceeded_by_no_more_than_the_prompt(open_model, open_vendor, limits):
    """A call gets what is left as its `max_tokens`, and the vendor cuts the reply there."""
    budget = Budget(**limits)
    with open_vendor(["word " * 5_000]) as (vendor, model):
        with pytest.raises(OverBudget):
            open_model(model, budget=budget).invoke("Hello")
        most = {"tokens": 60, "usd": 50}[next(iter(limits))]  # 0.6 USD for a million tokens
        assert vendor.calls[0].body["max_tokens"] == most
        prompt = {"tokens": vendor.usage.input_tokens, "usd": vendor.usage.input_tokens * 0.15e-6}
    for name, limit in limits.items():
        assert limit <= budget.usage[name] <= limit + prompt[name] + 1e-9
