"""Experiments: who gets which variant, what it changes, and what is said of the outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from llm_service.config import Config
from llm_service.gateway.experiments import Experiments, choose, report, verdict
from llm_service.models.entry import Experiment, Variant
from llm_service.request import Ask, Facts
from llm_service.store import tables
from llm_service.store.accounting import Record
from llm_service.store.database import Database, open_database
from llm_service.store.keys import Key
from seedbed.errors import ConfigError

NOW = datetime.now(UTC)
KEY = Key("key", "key")


def ask_of(user: str = "", model: str = "m", kind: str = "chat", **body: Any) -> Ask:
    messages = [{"role": "user", "content": "hi"}]
    return Ask(kind, model, {"messages": messages, **body}, user=user)  # type: ignore[arg-type]


def two(name: str = "tone", **second: Any) -> Experiment:
    variants = (Variant(name="plain"), Variant(name="new", **second))
    return Experiment(name=name, model="m", variants=variants)


def assigned(experiments: Experiments, user: str) -> str:
    experiments.assign(ask_of(user), KEY, facts := Facts())
    return facts.variant


def test_a_user_stays_with_a_variant() -> None:
    users = [f"user {i}" for i in range(200)]
    before = [assigned(Experiments([two()]), user) for user in users]
    other = Experiment(name="other", model="x", variants=(Variant(name="only"),))
    again = Experiments([other, two()])
    assert [assigned(again, user) for user in users] == before
    assert set(before) == {"plain", "new"}
    elsewhere = [assigned(Experiments([two("another")]), user) for user in users]
    assert 60 < sum(a == b for a, b in zip(before, elsewhere, strict=True)) < 140
    Experiments([two()]).assign(ask_of(""), Key("key 1", "k"), facts := Facts())
    assert facts.variant == choose(two(), "key 1").name
    assert choose(two(), "user 0").name == before[0] == "new"  # fixed: a release must not reshuffle


def test_shares_go_by_weight() -> None:
    weights = {"a": 3.0, "b": 1.0, "c": 0.5}
    variants = tuple(Variant(name=name, weight=weight) for name, weight in weights.items())
    experiment = Experiment(name="e", model="m", variants=variants)
    counts = Counter(choose(experiment, str(i)).name for i in range(9000))
    for name, weight in weights.items():
        assert abs(counts[name] - 2000 * weight) < 200


def user_of(experiment: Experiment, name: str) -> str:
    return next(u for u in map(str, range(999)) if choose(experiment, u).name == name)


def test_a_variant_changes_model_parameters_and_prompt(tmp_path: Path) -> None:
    file = tmp_path / "brief.md"
    file.write_text("version: 3\n\nBe brief: {no placeholder}.\n")
    params = {"temperature": 0.5, "max_tokens": 9}
    experiment = two(model="big", params=params, prompt=file)
    experiments, user = Experiments([experiment]), user_of(experiment, "new")
    ask, facts = ask_of(user, temperature=0, max_completion_tokens=5, top_p=1), Facts()
    changed = experiments.assign(ask, KEY, facts)
    assert changed.model == "big" and ask.model == "m"
    system = {"role": "system", "content": "Be brief: {no placeholder}."}
    assert changed.body == {**params, "top_p": 1, "messages": [system, *ask.body["messages"]]}
    assert (facts.experiment, facts.variant) == ("tone", "new")
    assert facts.prompt.startswith("brief@3:") and len(facts.prompt) == len("brief@3:") + 12

    parts = [{"type": "text", "text": "x"}]
    led = [{"type": "text", "text": system["content"]}, *parts]
    for content, joined in (
        ("Speak French.", "Be brief: {no placeholder}.\n\nSpeak French."),
        (parts, led),
    ):
        given = [{"role": "developer", "content": content}, {"role": "user", "content": "hi"}]
        body = experiments.assign(ask_of(user, messages=given), KEY, Facts()).body
        assert body["messages"] == [{"role": "developer", "content": joined}, given[1]]

    plain = experiments.assign(ask_of(user_of(experiment, "plain")), KEY, facts := Facts())
    assert plain.body == ask_of().body and facts.variant == "plain" and facts.prompt == ""


def test_others_are_left_alone() -> None:
    experiments, facts = Experiments([two(model="big")]), Facts()
    for ask in (ask_of(model="other"), ask_of(kind="embedding")):
        assert experiments.assign(ask, KEY, facts) is ask
    assert facts == Facts()


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'tone' and 'other' both use model 'm'"):
        Experiments([two(), two("other")])
    (file := tmp_path / "p.md").write_text("Be brief.")
    with pytest.raises(ConfigError, match="first line must be `version: N`"):
        Experiments([two(prompt=file)])


def fill(database: Database, variant: str, outcome: str, *ratings: str | None) -> None:
    """A request with that outcome for each rating."""
    with database.writing() as connection:
        for n, rating in enumerate(ratings):
            id_ = f"{variant} {outcome} {n}"
            record = Record("r", id_, NOW, "k", experiment="tone", variant=variant, outcome=outcome)
            row = asdict(record) | {"id": id_, "day": "2026-01-01", "cost_usd": 0.5}
            connection.execute(insert(tables.usage).values(row))
            if rating is not None:
                row = {"response_id": id_, "at": NOW, "comment": "", "rating": rating}
                connection.execute(insert(tables.feedback).values(row))


def test_the_report_has_each_variant_with_its_interval(tmp_path: Path) -> None:
    database = open_database(Config(data_dir=tmp_path))
    fill(database, "new", "ok", *["up"] * 30, *["down"] * 10)
    fill(database, "new", "unavailable", None)
    fill(database, "new", "cancelled", None)
    fill(database, "plain", "ok", *["up"] * 5)
    (found,) = report(database)
    new, plain = found["variants"]
    assert found["experiment"] == "tone"
    assert found["verdict"] == "not enough data: 'plain' has 5 of the required 20 ratings"
    assert (new["variant"], new["requests"], new["errors"]) == ("new", 42, 1)
    assert (new["rated"], new["up"], new["cost_usd"]) == (40, 30, 21.0)
    assert new["up_share"] == pytest.approx(
        {"value": 0.75, "low": 0.598, "high": 0.858, "n": 40}, abs=1e-3
    )
    assert (plain["variant"], plain["errors"]) == ("plain", 0)
    database.close()


def rated(name: str, up: int, n: int) -> dict[str, Any]:
    return {"variant": name, "up": up, "rated": n}


def test_a_verdict_needs_data() -> None:
    assert verdict([rated("a", 0, 50)]).startswith("not enough data: only one variant")
    close = verdict([rated("a", 12, 20), rated("b", 14, 20)])
    assert close.startswith("no significant difference yet: 'b' leads by +10 percentage points")
    assert verdict([rated("a", 50, 100), rated("b", 80, 100)]).startswith(
        "'b' is better: +30 percentage points"
    )
