"""The status page and the playground, in Gradio.

    mount_when_opened(app, lambda: build_page(gateway, keys, status))

The status shows the figures of `status.py` to keys with the scope admin. The playground sends
requests through the gateway like any client: with the limits, and at the cost, of the caller's key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import gradio as gr

from llm_service.gateway.gateway import Gateway
from llm_service.protocol.body import new_id
from llm_service.protocol.chat import ChatRequest
from llm_service.request import Delta
from llm_service.store import feedback
from llm_service.store.keys import Key, KeyStore
from llm_service.web.status import Status
from seedbed.errors import SeedbedError
from seedbed.observe.logs_and_traces import request_id
from seedbed.server import html
from seedbed.server.service import caller_of

POLL_SECONDS = 3.0
UPDATE_SECONDS = 0.05  # between two updates of a streamed answer on the page
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
NO_ADMIN = "The figures are shown to keys with the scope admin."


class Page:
    """The page of one gateway; `blocks` is what Gradio serves."""

    def __init__(self, gateway: Gateway, keys: KeyStore, status: Status) -> None:
        self.gateway, self.keys, self.status = gateway, keys, status
        with gr.Blocks(title="llm_service", analytics_enabled=False) as self.blocks:
            gr.Markdown("# llm_service")
            with gr.Tab("Status"):
                figures = gr.HTML(elem_id="status", apply_default_css=False)
            with gr.Tab("Playground"):
                self._add_playground()
            self.blocks.load(self.show_status, None, figures, **QUIET)
            gr.Timer(POLL_SECONDS).tick(self.show_status, None, figures, **QUIET)

    def _add_playground(self) -> None:
        model = gr.Dropdown([], label="Model", render=False)
        system = gr.Textbox(label="System prompt", max_length=20_000, render=False)
        temperature = gr.Slider(0, 2, 0, label="Temperature", render=False)
        max_tokens = gr.Number(256, label="Maximum tokens", minimum=1, precision=0, render=False)
        chat = gr.Chatbot(label="Conversation", elem_id="chat", buttons=["copy"], render=False)
        gr.ChatInterface(
            self.ask,
            chatbot=chat,
            additional_inputs=[model, system, temperature, max_tokens],
            concurrency_limit=None,
            api_visibility="private",
        )
        if self.gateway.config.keep_content != "none":  # what is not kept cannot be rated
            chat.like(self.rate, chat, None, **QUIET)
        self.blocks.load(self.list_models, None, model, **QUIET)

    def show_status(self, request: gr.Request) -> str:
        """The status as HTML."""
        if not self._key(request).may("admin"):
            return html.hint(NO_ADMIN)
        return status_html(self.status.read())

    def list_models(self, request: gr.Request) -> Any:
        """The chat models that the caller's key may use."""
        table, key = self.gateway.table, self._key(request)
        names = [n for n in table.names() if table.kind(n) == "chat"]
        names = [n for n in names if not key.models or n in key.models]
        return gr.Dropdown(names, value=table.default if table.default in names else None)

    async def ask(
        self,
        message: str,
        history: list[dict[str, Any]],
        model: str | None,
        system: str,
        temperature: float,
        max_tokens: int,
        request: gr.Request,
    ) -> AsyncIterator[gr.ChatMessage]:
        """The answer to a message, as it grows."""
        messages = [{"role": "system", "content": system}] if system else []
        messages += [{"role": m["role"], "content": text_of(m["content"])} for m in history]
        messages.append({"role": "user", "content": message})
        key, response_id, text, updated = self._key(request), new_id("chatcmpl"), "", 0.0
        try:
            body = ChatRequest.model_validate(
                {"messages": messages, "stream": True, "temperature": temperature}
                | {"max_tokens": int(max_tokens), **({"model": model} if model else {})}
            )
            ask = body.ask(user=key.id, request_id=request_id.get())
            call = await self.gateway.answer(ask, key, response_id)
            async with aclosing(call):
                async for event in call:
                    if isinstance(event, Delta) and event.text:
                        text += event.text
                        if time.monotonic() >= updated + UPDATE_SECONDS:
                            updated = time.monotonic()
                            yield gr.ChatMessage(text, metadata={"id": response_id})
        except SeedbedError as error:
            raise gr.Error(str(error), print_exception=False) from None
        yield gr.ChatMessage(text, metadata={"id": response_id})

    async def rate(
        self, history: list[dict[str, Any]], like: gr.LikeData, request: gr.Request
    ) -> None:
        """Store the thumb given to an answer, as `POST /v1/feedback` does."""
        place = like.index if isinstance(like.index, int) else like.index[0]
        response_id = (history[place].get("metadata") or {}).get("id", "")
        key = self._key(request)
        owner = None if key.may("admin") else key.id
        rating: feedback.Rating = "up" if like.liked else "down"
        store, accounting = self.gateway.database, self.gateway.accounting
        try:
            await asyncio.to_thread(
                feedback.add, store, response_id, rating, accounting=accounting, key_id=owner
            )
        except SeedbedError as error:
            raise gr.Error(str(error), print_exception=False) from None
        self.gateway.metrics.feedback(rating)

    def _key(self, request: gr.Request) -> Key:
        return self.keys.get(caller_of(request))


def text_of(content: Any) -> str:
    """The text of a message as Gradio keeps it: a string, or a list of parts.

    >>> text_of([{"type": "text", "text": "Hello"}])
    'Hello'
    """
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in content if "text" in part)


# ── the status as HTML ──────────────────────────────────────────────────────────────────────────


def status_html(status: dict[str, Any]) -> str:
    """Tables of the figures of `Status.read`."""
    parts = [
        _table(("figure", "value"), _overview(status)),
        _heading("Models"),
        _models(status["models"]),
    ]
    if (spend := status["spend"]) and spend["keys"]:
        parts += [_heading("Spending this month"), _spending(spend["keys"])]
    parts.append(_heading("Recent errors"))
    if status["errors"]:
        heads = ("time", "model", "type", "message", "count", "request id")
        names = ("at", "model", "type", "message", "count", "request_id")
        parts.append(_table(heads, ([e[name] for name in names] for e in status["errors"])))
    else:
        parts.append(html.hint("No errors since the start."))
    return "".join(parts)


def _heading(text: str) -> str:
    return f"<h3 style='font-weight: 650; margin: 1rem 0 0.3rem'>{text}</h3>"


def _overview(status: dict[str, Any]) -> list[tuple[str, str]]:
    spend, cache = status["spend"], status["cache"]
    lookups = sum(cache.values())
    tokens = status["tokens"]
    shares = f"{cache.get('hit', 0) / lookups:.1%} of {lookups:.0f} lookups" if lookups else "–"
    rows = [
        ("Running · waiting", f"{status['running']:.0f} · {status['waiting']:.0f}"),
        ("Requests since the start", f"{status['requests']:.0f}"),
        ("… failed (models, upstreams)", f"{status['failed']:.0f}"),
        ("… rejected (wrong or above a limit)", f"{status['rejected']:.0f}"),
        ("Tokens in · out", f"{tokens.get('input', 0):,.0f} · {tokens.get('output', 0):,.0f}"),
        ("First token of a stream, p50 · p95", _seconds(status["first_token"])),
        ("Whole answer, p50 · p95", _seconds(status["latency"])),
        ("Cache hits", shares),
    ]
    if spend:
        money = f"{_usd(spend['today_usd'])} · {_usd(spend['month_usd'])}"
        rows.insert(0, ("Cost today · this month", money))
    if status["draining"]:
        rows.insert(0, ("State", "shutting down"))
    return rows


def _models(models: list[dict[str, Any]]) -> str:
    heads = ("model", "backend", "state", "running", "waiting", "attempts", "failed", "memory")
    return _table(
        heads,
        (
            (
                model["name"],
                model["backend"],
                _state(model),
                f"{model['running']:.0f}",
                f"{model['waiting']:.0f}",
                f"{model['attempts']['requests']:.0f}",
                f"{model['attempts']['failed']:.0f}",
                f"{model['memory_bytes'] / 1e6:.0f} MB" if model["memory_bytes"] else "",
            )
            for model in models
        ),
    )


def _state(model: dict[str, Any]) -> str:
    if model["breaker"] not in (None, "closed"):
        return f"circuit {model['breaker'].replace('_', ' ')}"
    return {None: "", True: "loaded", False: "not loaded"}[model["loaded"]]


def _spending(keys: list[dict[str, Any]]) -> str:
    def row(key: dict[str, Any]) -> tuple[str, ...]:
        budget = key["budget_usd"]
        of = f"{key['cost_usd'] / budget:.0%} of {_usd(budget)}" if budget else "no budget"
        return key["name"], str(key["requests"]), f"{key['tokens']:,}", _usd(key["cost_usd"]), of

    return _table(("key", "requests", "tokens", "cost", "budget"), map(row, keys))


def _table(heads: tuple[str, ...], rows: Any) -> str:
    return html.table(heads, ([html.escape(cell) for cell in row] for row in rows))


def _seconds(figures: dict[str, float] | None) -> str:
    if figures is None:
        return "–"
    return f"{figures['p50']:.3g} s · {figures['p95']:.3g} s"


def _usd(amount: float) -> str:
    """
    >>> _usd(0.000012), _usd(12.5)
    ('$0.000012', '$12.50')
    """
    return f"${amount:.2f}" if amount >= 0.01 or not amount else f"${amount:.6f}"
