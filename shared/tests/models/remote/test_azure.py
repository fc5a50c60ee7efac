"""Azure OpenAI: its paths and credentials, against the vendor server behind Azure's addresses."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from seedbed.models.load import check_chat_model, load_chat_model
from seedbed.models.structured_reply import structured_reply
from seedbed.testing.launch import serve_app
from seedbed.testing.vendor.server import Vendor


class Colour(BaseModel):
    name: str


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """The vendor server with a deployment, for a token of Entra ID."""
    pytest.importorskip("langchain_openai")
    vendor = Vendor(["Blue.", "Green.", '{"name": "red"}'], "test-key", ["gpt-4o"])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = re.sub(r"^/openai/deployments/gpt-4o/", "/v1/", scope.get("path", ""))
        await vendor(scope | {"path": path}, receive, send)

    for name in ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "test-key")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    with serve_app(app) as vendor.url:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", vendor.url)
        yield vendor
        vendor.stop()


def test_deployment_answers_streams_and_follows_a_schema(azure: Vendor) -> None:
    check_chat_model("azure_openai:gpt-4o")
    model = load_chat_model("azure_openai:gpt-4o")
    reply = model.invoke("A colour?")
    assert reply.text == "Blue." and reply.usage_metadata
    assert "".join(chunk.text for chunk in model.stream("Another?")) == "Green."
    assert structured_reply(model, "A third?", Colour.model_json_schema()) == {"name": "red"}
    assert azure.problems == []
