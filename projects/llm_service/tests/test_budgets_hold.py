"""No order of requests, fallbacks, variants and streams that leave spends more than a budget."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_fakes import FakeBackend, Served, serving

from llm_service.request import Ask, Delta, Event, Finish, Usage
from seedbed.errors import SeedbedError, Unavailable

BUDGET = 1.0
TABLE = """
[models.echo]
backend = "openai"
base_url = "http://127.0.0.1:1/v1"
price_in = 0
price_out = 0
[models.paid]
backend = "openai"
base_url = "http://127.0.0.1:1/v1"
price_in = 100.0
price_out = 1000.0
[routes.main]
targets = ["echo"]
fallback = ["paid"]
retries = 0
[routes.tried]
targets = ["echo"]
retries = 0
[experiments.dear]
model = "tried"
variants = [{name = "as-it-is"}, {name = "dear", model = "paid", params = {max_tokens = 300}}]
"""


@dataclass
class Metered(FakeBackend):
    """Says as many words as it may, and counts what it sold, as the upstream's bill does."""

    words: int = 400
    sold: float = 0.0

    async def generate(self, ask: Ask) -> AsyncIterator[Event]:
        self.asked.append(ask)
        texts = [str(message["content"]) for message in ask.body["messages"]]
        prompt = sum(map(len, texts)) + 17 * len(texts)  # a token a byte, and the template's
        self.sold += prompt * 100 / 1e6
        choices = ask.body.get("n") or 1
        most = ask.body.get("max_completion_tokens") or ask.body.get("max_tokens") or 10**6
        said = min(self.words, most)
        for index in range(choices):
            for _ in range(said):
                self.sold += 1000 / 1e6
                yield Delta("word ", index)
                await asyncio.sleep(0)
            yield Finish("stop", index)
        yield Usage(prompt, said * choices)


@pytest.fixture
def paid() -> Metered:
    return Metered("paid")


def broken() -> FakeBackend:
    return FakeBackend("echo", error=Unavailable("down"))


@pytest.mark.parametrize("model", ["main", "paid", "tried"])
async def test_requests_in_a_row_and_at_once_stay_within_the_budget(
    tmp_path: Path, paid: Metered, model: str
) -> None:
    # A free model with a paid fallback, a paid model, and a variant that is paid.
    async with serving(tmp_path, TABLE, {"echo": broken(), "paid": paid}) as served:
        _, key = served.keys.create("k", budget_usd=BUDGET)
        statuses = []
        for n in map(str, range(6)):
            answer = await served.chat(n, key=key, model=model, user=f"user {n}", max_tokens=400)
            statuses.append(answer.status_code)
        asking = [
            served.chat(f"at once {n}", key=key, model=model, max_tokens=200) for n in range(9)
        ]
        statuses += [answer.status_code for answer in await asyncio.gather(*asking)]
        assert 0.3 < paid.sold <= BUDGET + 1e-9
        assert 429 in statuses


async def test_an_answer_without_max_tokens_is_limited_by_what_was_reserved(
    tmp_path: Path, paid: Metered
) -> None:
    paid.words = 50_000
    async with serving(tmp_path, TABLE, {"paid": paid}) as served:
        _, key = served.keys.create("k", budget_usd=2.0)
        assert (await served.chat(key=key, model="paid")).status_code == 200
        assert paid.asked[0].body["max_tokens"] == 1024
        assert paid.sold < 2.0
        assert (await served.chat(key=key, model="paid", max_tokens=3)).status_code == 200
        assert (await served.chat(model="paid", key=key, max_tokens=5000)).status_code == 429


async def test_key_takes_no_part_in_an_experiment_with_a_model_that_it_may_not_use(
    tmp_path: Path, paid: Metered
) -> None:
    async with serving(tmp_path, TABLE, {"paid": paid}) as served:
        _, key = served.keys.create("k", models=("tried", "echo"))
        answers = [await served.chat(key=key, model="tried", user=str(n)) for n in range(20)]
        assert {answer.headers["x-model-used"] for answer in answers} == {"echo"}
        assert not any("x-experiment" in answer.headers for answer in answers)


async def test_reader_that_leaves_pays_for_what_was_generated(
    tmp_path: Path, paid: Metered
) -> None:
    async with serving(tmp_path, TABLE, {"paid": paid}) as served:
        made, _ = served.keys.create("k", budget_usd=100.0)
        body = {"messages": [{"role": "user", "content": "hi"}], "seed": 1}
        ask = Ask("chat", "paid", body, stream=True)
        first, second = [await served.gateway.answer(ask, made, f"r{n}") for n in range(2)]
        await anext(first)
        await anext(second)
        await first.aclose()
        assert len([event async for event in second]) == 401
        assert len(paid.asked) == 2
        assert first.cost_usd + second.cost_usd >= paid.sold
        repeated = await served.gateway.answer(ask, made, "r3")
        await repeated.aclose()
        assert repeated.cost_usd == 0 and len(paid.asked) == 2


REQUESTS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["main", "paid", "tried", "echo"]),
        "content": st.sampled_from(["hi", "a longer question " * 20, "ä" * 300]),
        "user": st.sampled_from("abcd"),
        "max_tokens": st.sampled_from([None, 1, 50, 300]),
        "seed": st.sampled_from([None, 1]),
        "n": st.sampled_from([None, 2]),
        "tools": st.booleans(),
        "reads": st.sampled_from([0, 1, 20, None]),  # events before the client leaves
    }
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"x" * 500: {}}}}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fails", [False, True])
def test_random_sequences_never_spend_more_than_the_budget(tmp_path: Path, fails: bool) -> None:
    async def one(served: Served, key: Any, name: str, wish: dict[str, Any], order: Any) -> None:
        body = {name: wish[name] for name in ("max_tokens", "seed", "n") if wish[name]}
        # The key's id keeps it from being the answer to a request of an earlier sequence.
        body["messages"] = [{"role": "user", "content": f"{wish['content']} {key.id}"}]
        body |= {"tools": [TOOL]} if wish["tools"] else {}
        ask = Ask("chat", wish["model"], body, stream=True, user=wish["user"])
        try:
            call = await served.gateway.answer(ask, key, name)
        except SeedbedError:
            return
        async with aclosing(call):
            reads = 0
            async for _ in call:
                if order.random() < 0.2:
                    await asyncio.sleep(0)
                if (reads := reads + 1) == wish["reads"]:
                    return

    async def sequence(served: Served, requests: list[dict[str, Any]], order: Any) -> None:
        key, _ = served.keys.create(f"key {next(numbers)}", budget_usd=BUDGET / 2)
        budgets = served.gateway.admission.budgets
        spent, paid.sold = sum(budgets._spent.values()), 0.0
        left = [(served, key, f"{key.id} {n}", wish, order) for n, wish in enumerate(requests)]
        while left:
            size = order.randint(1, 4)
            batch, left = left[:size], left[size:]
            await asyncio.gather(*(one(*request) for request in batch))
        # What is cut off before its usage is known is charged with the most it can be.
        spent = sum(budgets._spent.values()) - spent
        assert paid.sold - 1e-6 <= spent <= BUDGET / 2 + 1e-6
        assert sum(budgets._reserved.values()) == pytest.approx(0, abs=1e-9)

    paid, numbers = Metered("paid"), iter(range(10**6))
    backends = {"echo": broken() if fails else FakeBackend("echo"), "paid": paid}
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        served = runner.run(stack.enter_async_context(serving(tmp_path, TABLE, backends)))

        @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
        @given(requests=st.lists(REQUESTS, min_size=3, max_size=12), order=st.randoms())
        def check(requests: list[dict[str, Any]], order: random.Random) -> None:
            runner.run(sequence(served, requests, order))

        check()
        runner.run(stack.aclose())
