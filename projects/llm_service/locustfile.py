"""Many chat users, for Locust: they think for a while, ask, and read the answer.

    pip install 'llm-service[locust]'
    locust -f projects/llm_service/locustfile.py --host http://127.0.0.1:8004
    locust -f … --headless --users 20 --spawn-rate 5 --run-time 1m --host http://127.0.0.1:8004

SERVICE_LOAD_KEY is the API key, SERVICE_LOAD_MODEL the model (default: the first one listed) and
SERVICE_LOAD_TOKENS how long answers get (default 48). Streams also report their first token.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

from locust import HttpUser, between, events, task

QUESTIONS = (
    "What is the difference between a list and a tuple?",
    "Suggest a name for a small bakery.",
    "Explain photosynthesis to a child.",
    "Write a polite reminder about an open invoice.",
    "What should I see in Vienna in one afternoon?",
    "Summarise the plot of Romeo and Juliet.",
)
TOKENS = int(os.environ.get("SERVICE_LOAD_TOKENS", "48"))


class ChatUser(HttpUser):
    """A conversation of some turns; one that is refused (429) waits as it was told to."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        if key := os.environ.get("SERVICE_LOAD_KEY"):
            self.client.headers["authorization"] = f"Bearer {key}"
        self.model = os.environ.get("SERVICE_LOAD_MODEL") or self._first_model()
        self.messages: list[dict[str, str]] = []

    def _first_model(self) -> str:
        return str(self.client.get("/v1/models").json()["data"][0]["id"])

    def _body(self, stream: bool) -> dict[str, Any]:
        if len(self.messages) > 6:
            self.messages = []
        question = f"{random.choice(QUESTIONS)} (Case {random.randrange(10**6)}.)"
        self.messages.append({"role": "user", "content": question})
        return {
            "model": self.model,
            "messages": self.messages,
            "max_tokens": TOKENS,
            "stream": stream,
        }

    @task(3)
    def stream(self) -> None:
        began = time.perf_counter()
        text = ""
        with self.client.post(
            "/v1/chat/completions",
            json=self._body(True),
            stream=True,
            name="chat (stream)",
            catch_response=True,
        ) as response:
            if self._refused(response):
                return
            for line in response.iter_lines():
                if not line.startswith(b"data: {"):
                    continue
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    response.failure(chunk["error"].get("message", "error in the stream"))
                    return
                for choice in chunk["choices"]:
                    piece = choice["delta"].get("content") or ""
                    if piece and not text:
                        _first_token(time.perf_counter() - began)
                    text += piece
        self.messages.append({"role": "assistant", "content": text})

    @task(1)
    def whole(self) -> None:
        with self.client.post(
            "/v1/chat/completions", json=self._body(False), name="chat", catch_response=True
        ) as response:
            if not self._refused(response):
                answer = response.json()["choices"][0]["message"]["content"]
                self.messages.append({"role": "assistant", "content": answer})

    def _refused(self, response: Any) -> bool:
        """Whether there is no answer; a full service is no failure."""
        if response.status_code == 200:
            return False
        self.messages = []
        if response.status_code == 429:
            response.success()
            time.sleep(min(10.0, float(response.headers.get("retry-after", 1))))
        else:
            response.failure(f"{response.status_code}: {response.text[:200]}")
        return True


def _first_token(seconds: float) -> None:
    events.request.fire(
        request_type="SSE",
        name="chat: first token",
        response_time=1000 * seconds,
        response_length=0,
        exception=None,
        context={},
    )
