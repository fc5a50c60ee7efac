"""The stand-ins: what tests everywhere rely on."""

import json
import socket
import sys

import numpy as np
import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from seedbed.errors import Busy, ConfigError
from seedbed.structured.schemas import InvalidReply
from seedbed.testing import (
    HashEmbeddings,
    ScriptedChatModel,
    ScriptError,
    closed_port,
    free_port,
    run_server,
    serve_app,
)


class Point(BaseModel):
    x: int


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def call(name, **args):
    return AIMessage(content="", tool_calls=[{"name": name, "args": args, "id": "1"}])


def test_replies_come_in_order_and_calls_are_recorded():
    model = ScriptedChatModel(["one", lambda asked: asked.text.upper()])
    assert [model.invoke("first").text, model.invoke("second").text] == ["one", "SECOND"]
    assert [asked.text for asked in model.calls] == ["first", "second"]


def test_an_empty_script_fails_loudly():
    model = ScriptedChatModel(["one"])
    model.invoke("first")
    with pytest.raises(ScriptError, match=r"1 replies, and this is call 2.*'second'"):
        model.invoke("second")


def test_an_exception_in_the_script_is_raised():
    with pytest.raises(Busy, match="full"):
        ScriptedChatModel([Busy("full")]).invoke("hello")


def test_a_stream_joins_to_the_reply_and_reports_usage():
    text = "Two  spaces,\n a line; 世界 🎉 and an end. "
    chunks = list(ScriptedChatModel([text]).stream("hello"))
    assert len(chunks) > 5
    assert "".join(chunk.text for chunk in chunks) == text
    assert chunks[-1].usage_metadata["input_tokens"] == 1


async def test_astream_carries_tool_calls():
    model = ScriptedChatModel([call("add", a=1, b=2)]).bind_tools([add])
    chunks = [chunk async for chunk in model.astream("1 + 2")]
    assert chunks[-1].tool_calls[0]["args"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("reply", "choice", "message"),
    [
        (call("add", a="one", b=2), None, "'one' is not of type 'integer'"),
        (call("subtract", a=1, b=2), None, "calls 'subtract'. Bound tools: \\['add'\\]"),
        ("3", "any", "replies with text"),
        (call("add", a=1, b=2), "none", "tool_choice is none"),
    ],
)
def test_a_scripted_tool_call_must_fit_the_bound_tools(reply, choice, message):
    model = ScriptedChatModel([reply]).bind_tools([add], tool_choice=choice)
    with pytest.raises(ScriptError, match=message):
        model.invoke("1 + 2")


def test_structured_output_is_parsed_and_checked():
    structured = ScriptedChatModel([{"x": 1}, '{"x": "one"}']).with_structured_output(Point)
    assert structured.invoke("point") == Point(x=1)
    with pytest.raises(ScriptError, match="does not fit Point"):
        structured.invoke("point")


def test_include_raw_keeps_the_message():
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    model = ScriptedChatModel([{"x": 1}]).with_structured_output(schema, include_raw=True)
    result = model.invoke("point")
    assert (result["parsed"], result["parsing_error"]) == ({"x": 1}, None)
    assert json.loads(result["raw"].text) == {"x": 1}


def test_a_script_file(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(
        "- Hello.\n- {tool_calls: [{name: add, args: {a: 1, b: 2}}]}\n- {json: {x: 1}}\n"
        "- {error: busy, message: full}\n"
    )
    model = ScriptedChatModel.from_file(path)
    assert model.invoke("a").text == "Hello."
    assert model.bind_tools([add]).invoke("b").tool_calls[0]["name"] == "add"
    assert model.with_structured_output(Point).invoke("c") == Point(x=1)
    with pytest.raises(Busy, match="full"):
        model.invoke("d")


@pytest.mark.parametrize("text", ["a: 1", "- {nothing: 1}", "- {error: no_such}", "- [", None])
def test_a_wrong_script_file_is_a_config_error(tmp_path, text):
    path = tmp_path / "script.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"script\.yaml"):
        ScriptedChatModel.from_file(path)


def test_hash_embeddings_put_similar_texts_near():
    embeddings = HashEmbeddings()
    vectors = embeddings.embed(["Installing the tools", "install a tool", "yellow bananas", ""])
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    assert embeddings.embed_query("Installing the tools") == pytest.approx(vectors[0].tolist())
    assert embeddings.embed([]).shape == (0, 384)


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_free_port_differs_at_each_call_and_skips_open_ports():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port() + 1))
        ports = [free_port() for _ in range(20)]
        assert len(set(ports)) == 20
        assert taken.getsockname()[1] not in ports


def test_closed_port_refuses_connections_and_stays_reserved():
    with closed_port() as port, socket.socket() as other:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_serve_app_raises_when_the_application_does_not_start():
    async def broken(_, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no such setting"})

    with pytest.raises(RuntimeError, match="did not start"), serve_app(broken):
        pass


def test_run_server_waits_for_it_and_stops_it():
    port = free_port()
    with run_server([sys.executable, "-c", SERVER, str(port)], port) as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_run_server_shows_what_a_server_that_ends_has_printed():
    with (
        pytest.raises(RuntimeError, match="no such setting"),
        run_server([sys.executable, "-c", "raise SystemExit('no such setting')"], free_port()),
    ):
        pass


def test_a_reply_that_is_not_json_is_an_invalid_reply():
    from seedbed.structured.schemas import read

    with pytest.raises(InvalidReply, match="not JSON"):
        read("hello", Point)
