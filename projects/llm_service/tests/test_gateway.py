"""What happens to a request from the door to the books, over fake backends."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from service_fakes import TABLE, FakeBackend, serving
from sqlalchemy import select

from llm_service.store import feedback, tables, usage
from seedbed.errors import BadInput, Unavailable

ROUTED = (
    TABLE
    + """
[models.spare]
backend = "openai"
base_url = "http://127.0.0.1:1/v1"
[routes.main]
targets = ["echo"]
fallback = ["spare"]
retries = 0
"""
)


async def test_an_answer_tells_who_gave_it_and_what_it_cost(served):
    answer = await served.chat(temperature=0)
    assert answer.status_code == 200
    body = answer.json()
    assert body["choices"][0]["message"]["content"] == "one two three"
    assert (body["model"], body["id"][:9]) == ("echo", "chatcmpl-")
    headers = answer.headers
    assert headers["x-model-used"] == "echo"
    assert float(headers["x-cost-usd"]) == pytest.approx((7 * 1 + 3 * 2) / 1e6)
    assert float(headers["x-overhead-ms"]) >= 0
    assert headers["x-cache"] == "miss"
    assert headers["x-request-id"]


async def test_every_end_of_a_request_is_accounted_under_the_requested_name(tmp_path):
    backends = {name: FakeBackend(name, error=Unavailable("down")) for name in ("echo", "spare")}
    async with serving(tmp_path, ROUTED, backends) as served:
        for model in ("echo", "main", "nope"):
            await served.chat(model=model)
        served.echo.error = BadInput("no")
        await served.chat("again")
        served.echo.error = None
        await served.chat("and again")
        assert await asyncio.to_thread(served.gateway.accounting.flush, 30)
        (row,) = usage.report(served.gateway.database, "key")
        assert (row["n"], row["ok"], row["errors"]) == (5, 1, 4)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (7, 3)
        rows = usage.report(served.gateway.database, "model")
        assert {row["model"]: row["errors"] for row in rows} == {"echo": 2, "main": 1, "nope": 1}


async def test_an_equal_request_is_answered_from_the_cache_at_no_cost(served):
    await served.chat(temperature=0)
    again = await served.chat(temperature=0)
    assert again.headers["x-cache"] == "hit"
    assert float(again.headers["x-cost-usd"]) == 0
    served.client.headers["cache-control"] = "no-store"
    await served.chat(temperature=0)
    assert len(served.echo.asked) == 2


@pytest.mark.parametrize(
    ("settings", "outcomes"),
    [
        ({"cache_mb": 0}, {(200, None)}),
        ({"cache_seconds": 1e-6}, {(200, "miss")}),
        ({"timeout": 0.01}, {(504, None)}),
        ({"max_requests": 1}, {(200, "miss"), (200, "hit"), (429, None)}),
        ({"max_body_mb": 1e-6}, {(413, None)}),
    ],
)
async def test_settings_limit_requests_and_the_cache(tmp_path, settings, outcomes):
    async with serving(tmp_path, **settings) as served:
        served.echo.pause = 0.1
        answers = await asyncio.gather(*(served.chat(text, temperature=0) for text in "ab"))
        answers.append(await served.chat("a", temperature=0))
    assert {(answer.status_code, answer.headers.get("x-cache")) for answer in answers} == outcomes


async def test_a_fallback_answers_for_a_model_that_fails(tmp_path):
    broken = FakeBackend("echo", error=Unavailable("down"))
    async with serving(tmp_path, ROUTED, {"echo": broken}) as served:
        answer = await served.chat(model="main")
        assert answer.status_code == 200
        assert answer.headers["x-model-used"] == "spare"
        assert answer.json()["model"] == "main"
        counted = generate_latest(served.registry).decode()
        assert 'llm_fallbacks_total{model="echo",to="spare"} 1.0' in counted


async def test_time_per_token_is_counted_once_per_stream(served):
    served.echo.pause = 0.02
    assert (await served.chat(stream=True)).text.endswith("data: [DONE]\n\n")
    await served.chat()
    counted = generate_latest(served.registry).decode()
    assert 'llm_inter_token_seconds_count{model="echo"} 1.0' in counted
    assert 'llm_inter_token_seconds_bucket{le="0.015",model="echo"} 0.0' in counted


async def test_keys_lock_the_door_and_limits_hold(served, monkeypatch):
    # The middle of a minute, because limits reset with the next one.
    monkeypatch.setattr(time, "time", lambda: 1_700_000_010.0)
    assert (await served.chat()).status_code == 200  # no keys exist: this machine may ask
    _, secret = served.keys.create("alice", rpm=2, models=("echo",))
    assert (await served.chat()).status_code == 401
    assert (await served.chat(key=secret)).status_code == 200
    assert (await served.chat("2", key=secret)).headers["x-ratelimit-remaining-requests"] == "0"
    over = await served.chat("3", key=secret)
    assert over.status_code == 429
    assert over.headers["x-ratelimit-limit-requests"] == "2"
    served.keys.revoke("alice")
    assert (await served.chat(key=secret)).status_code == 401


async def test_an_empty_budget_refuses_and_is_not_to_be_tried_again(served):
    _, secret = served.keys.create("bob", budget_usd=0.00001)
    answer = await served.chat(key=secret, max_tokens=1000)
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "insufficient_quota"
    assert answer.headers["x-should-retry"] == "false"
    assert not served.echo.asked
    served.keys.update("bob", budget_usd=5.0)
    assert (await served.chat(key=secret, max_tokens=1000)).status_code == 200


async def test_budget_refuses_a_model_whose_price_is_unknown(served):
    for name, limits, status in (("bob", {"budget_usd": 1.0}, 503), ("ann", {}, 200)):
        _, secret = served.keys.create(name, **limits)
        headers = {"authorization": f"Bearer {secret}"}
        answer = await served.client.post("/v1/embeddings", json={"input": "a"}, headers=headers)
        assert answer.status_code == status
        assert status == 200 or "[models.vectors]" in answer.json()["error"]["message"]


async def test_embeddings(served):
    answer = await served.client.post("/v1/embeddings", json={"input": ["ab", "c"]})
    assert [row["embedding"] for row in answer.json()["data"]] == [[2.0, 1.0], [1.0, 1.0]]
    assert answer.headers["x-model-used"] == "vectors"


async def test_a_reload_takes_effect_or_changes_nothing(served):
    served.models.write_text(TABLE + '[routes.fast]\ntargets = ["echo"]\n')
    assert (await served.client.post("/admin/models/reload")).status_code == 200
    assert (await served.chat(model="fast")).status_code == 200
    served.models.write_text('[models.x]\nbackend = "nothing"\n')
    refused = await served.client.post("/admin/models/reload")
    assert refused.status_code == 400
    assert "nothing" in refused.json()["error"]["message"]
    assert (await served.chat(model="fast")).status_code == 200


async def test_a_reload_that_changes_the_default_local_model_leaves_the_service_ready(served):
    async def load() -> None: ...

    state = {"process": None, "starting": False, "resting": False, "failure": None}
    local = SimpleNamespace(name="new", may_start=False, check=load, **state)
    local.entry = SimpleNamespace(preload=False)
    served.gateway.pool.local = lambda: iter([local])
    new = 'default = "new"\n[models.new]\nbackend = "local"\nspec = "smollm2"\n'
    served.models.write_text(new + TABLE)
    assert (await served.client.post("/admin/models/reload")).status_code == 200
    assert (await served.client.get("/readyz")).status_code == 200
    local.failure = Unavailable("no memory")
    assert (await served.client.get("/readyz")).status_code == 503


async def test_usage_over_http_has_percentiles_with_a_beginning_only(served):
    await served.chat()
    assert await asyncio.to_thread(served.gateway.accounting.flush, 30)
    (row,) = (await served.client.get("/admin/usage")).json()["rows"]
    assert row["n"] == 1 and "p50_seconds" not in row
    since = {"since": "2020-01-01T00:00:00Z"}
    (row,) = (await served.client.get("/admin/usage", params=since)).json()["rows"]
    assert row["n"] == 1 and row["p50_seconds"] > 0
    later = await served.client.get("/admin/usage", params={"since": "2100-01-01T00:00:00Z"})
    assert later.json()["rows"] == []


async def test_feedback_is_kept_and_exported(tmp_path):
    async with serving(tmp_path, keep_content="rated") as served:
        answer = (await served.chat("What is 1+1?")).json()
        rated = {"response_id": answer["id"], "rating": "up", "comment": "good"}
        assert (await served.client.post("/v1/feedback", json=rated)).status_code == 200
        corrected = {**rated, "rating": "down", "correction": "four"}
        assert (await served.client.post("/v1/feedback", json=corrected)).status_code == 200
        (row,) = feedback.export(served.gateway.database)
        assert (row["messages"][-1]["content"], row["rating"]) == ("four", "down")
        unknown = {"response_id": "chatcmpl-0", "rating": "up"}
        assert (await served.client.post("/v1/feedback", json=unknown)).status_code == 404


async def test_prompts_and_answers_are_not_kept_by_default_and_then_not_rated(served):
    answer = (await served.chat("What is 1+1?")).json()
    rated = {"response_id": answer["id"], "rating": "up"}
    refused = await served.client.post("/v1/feedback", json=rated)
    assert refused.status_code == 400
    assert "was not kept, so it cannot be rated." in refused.json()["error"]["message"]
    with served.gateway.database.reading() as connection:
        column = tables.usage.c
        stored = connection.execute(select(column.messages, column.answer)).all()
    assert stored == [(None, None)]
