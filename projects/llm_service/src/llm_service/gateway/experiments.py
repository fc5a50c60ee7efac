"""Variants of a prompt, a model or its parameters, and how users rated each.

A hash of the experiment's name and the user selects the variant. Nothing is stored, so a restart
or another experiment does not change the assignment.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from sqlalchemy import func, select

from llm_service.models.entry import Experiment, Variant
from llm_service.request import Ask, Facts
from llm_service.store import tables
from llm_service.store.database import Database
from llm_service.store.keys import Key
from seedbed.errors import ConfigError
from seedbed.models.prompts import read_prompt
from seedbed.runs.evaluation import newcombe_interval, wilson_interval

ENOUGH = 20  # ratings that each variant needs before there is a verdict


class Experiments:
    """The table's experiments, their prompt files read once. Raises ConfigError."""

    def __init__(self, experiments: Iterable[Experiment] = ()) -> None:
        self._by_model: dict[str, Experiment] = {}
        for experiment in experiments:
            other = self._by_model.setdefault(experiment.model, experiment)
            if other is not experiment:
                raise ConfigError(
                    f"Experiments {other.name!r} and {experiment.name!r} both use model "
                    f"{experiment.model!r}.",
                    hint="Remove one, or merge their variants into one experiment.",
                )
        files = {v.prompt for e in self._by_model.values() for v in e.variants if v.prompt}
        self._prompts = {file: read_prompt(file) for file in files}

    def assign(self, ask: Ask, key: Key, facts: Facts) -> Ask:
        """The request, changed to its user's variant; unchanged if no experiment applies.

        An experiment applies to requests that name its model, from keys that may use the models of
        all its variants. The variant's `params` override the request's, as otherwise they would not
        be compared. Its prompt becomes the system message, or is put before the existing one.
        Fills `facts.experiment`, `variant` and `prompt`.
        """
        experiment = self._by_model.get(ask.model)
        if experiment is None or ask.kind == "embedding":
            return ask
        models = {variant.model for variant in experiment.variants} - {None}
        if key.models and not models <= {*key.models}:
            return ask
        variant = choose(experiment, ask.user or key.id)
        facts.experiment, facts.variant = experiment.name, variant.name
        body = {**ask.body, **variant.params}
        if "max_tokens" in variant.params:
            body.pop("max_completion_tokens", None)
        if variant.prompt is not None:
            prompt = self._prompts[variant.prompt]
            facts.prompt = f"{prompt.name}@{prompt.version}:{prompt.hash}"
            body["messages"] = _led_by(prompt.text, body["messages"])
        return replace(ask, model=variant.model or ask.model, body=body)


def choose(experiment: Experiment, user: str) -> Variant:
    """The user's variant: shares of users go by weight."""
    digest = hashlib.sha256(f"{experiment.name}\0{user}".encode(errors="replace")).digest()
    ends = list(accumulate(variant.weight for variant in experiment.variants))
    place = int.from_bytes(digest[:8], "big") / 2**64 * ends[-1]
    return experiment.variants[bisect(ends, place, hi=len(ends) - 1)]


def _led_by(text: str, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    first = messages[0]
    if first["role"] not in ("system", "developer"):
        return [{"role": "system", "content": text}, *messages]
    # One message, as the templates of many models take no second one.
    content = first.get("content") or ""
    joined: Any = f"{text}\n\n{content}".strip()
    if isinstance(content, list):
        joined = [{"type": "text", "text": text}, *content]
    return [{**first, "content": joined}, *messages[1:]]


def report(database: Database) -> list[dict[str, Any]]:
    """The outcome of each experiment, by name.

    Each: "experiment", "verdict" (a sentence) and "variants", by name, each with "variant",
    "requests", "errors", "cost_usd", "rated", "up" and "up_share" ({"value", "low", "high", "n"},
    95 %; None without ratings).
    """
    usage, feedback = tables.usage.c, tables.feedback.c
    query = (
        select(
            *(usage.experiment, usage.variant),
            func.count().label("requests"),
            func.count().filter(usage.outcome.not_in(("ok", "cancelled"))).label("errors"),
            func.count(feedback.rating).label("rated"),
            func.count().filter(feedback.rating == "up").label("up"),
            func.sum(usage.cost_usd).label("cost_usd"),
        )
        .outerjoin_from(tables.usage, tables.feedback, usage.response_id == feedback.response_id)
        .where(usage.experiment != "")
        .group_by(usage.experiment, usage.variant)
        .order_by(usage.experiment, usage.variant)
    )
    experiments: dict[str, list[dict[str, Any]]] = {}
    with database.reading() as connection:
        for row in map(dict, connection.execute(query).mappings()):
            n, low, high = row["rated"], *wilson_interval(row["up"], row["rated"])
            share = {"value": row["up"] / n, "low": low, "high": high, "n": n} if n else None
            experiments.setdefault(row.pop("experiment"), []).append({**row, "up_share": share})
    return [
        {"experiment": name, "verdict": verdict(variants), "variants": variants}
        for name, variants in experiments.items()
    ]


def verdict(variants: Sequence[Mapping[str, Any]]) -> str:
    """The variant with the larger share of thumbs up, or why there is no verdict yet.

    It assumes independent ratings and one look at the end: looking every day until one variant
    leads finds a winner by chance sooner or later.
    """
    if len(variants) < 2:
        return "not enough data: only one variant has received requests"
    for variant in variants:
        if variant["rated"] < ENOUGH:
            name, rated = variant["variant"], variant["rated"]
            return f"not enough data: {name!r} has {rated} of the required {ENOUGH} ratings"
    best, *others = sorted(variants, key=lambda v: v["up"] / v["rated"], reverse=True)
    leads = []
    for other in others:
        low, high = newcombe_interval((best["up"], best["rated"]), (other["up"], other["rated"]))
        leads.append((low, high, best["up"] / best["rated"] - other["up"] / other["rated"]))
    low, high, difference = min(leads)
    lead = (
        f"{100 * difference:+.0f} percentage points more thumbs up (95 % interval "
        f"{100 * low:+.0f} to {100 * high:+.0f})"
    )
    if low > 0:
        return f"{best['variant']!r} is better: {lead}"
    return f"no significant difference yet: {best['variant']!r} leads by {lead}"
