import json
import threading
import time
import urllib.request

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from rag_chatbot.chatbot import Chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest_bytes
from rag_chatbot.talk.api import create_app
from seedbed.settings import Settings, load
from seedbed.testing import HashEmbeddings, ScriptedChatModel, closed_port

FACT = "The harbour of Vellin opens at six in the morning."
TEXTS = {
    "port.md": f"# Harbour\n\n## Hours\n\n{FACT}\n",
    "tea.md": "# Tea\n\nGreen tea is steeped briefly.\n",
}
WHEN = "When does the harbour of Vellin open?"
KEYS = {
    *("answer", "abstained", "citations", "question", "model", "prompt_version", "usage"),
    *("timings", "id", "conversation_id"),
}


@pytest.fixture(scope="module")
def bot(tmp_path_factory):
    config = load(Config, data_dir=tmp_path_factory.mktemp("data"), mode="quote", max_file_mb=2)
    made = Chatbot(config, HashEmbeddings(), ["scripted"], lambda _: ScriptedChatModel())
    for name, text in TEXTS.items():
        ingest_bytes(made.store, name, text.encode())
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(bot):
    with TestClient(create_app(bot, Settings(api_keys="")), raise_server_exceptions=False) as made:
        yield made


def ask(client, question=WHEN, **more):
    return client.post("/v1/ask", json={"question": question, **more})


def error_of(response):
    found = response.json()["error"]
    assert set(found) == {"type", "message", "request_id"}
    assert found["request_id"] == response.headers["x-request-id"]
    return response.status_code, found["type"]


def events_of(text):
    parts = [part.split("\ndata: ") for part in text.strip().split("\n\n")]
    return [(kind.removeprefix("event: "), json.loads(data)) for kind, data in parts]


def test_ask_returns_answer_with_citations(client):
    response = ask(client)
    answer = response.json()
    assert response.status_code == 200 and set(answer) >= KEYS
    cited = answer["citations"][0]
    assert set(cited) >= {"n", "source", "page", "heading", "quote", "score"}
    assert (cited["n"], cited["source"], cited["heading"]) == (1, "port.md", "Hours")
    assert cited["quote"] in TEXTS["port.md"] and answer["abstained"] is False


def test_ask_streams_the_same_answer(client):
    response = ask(client, stream=True)
    events = events_of(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [kind for kind, _ in events[:-1]] == ["token"] * (len(events) - 1)
    kind, answer = events[-1]
    assert kind == "answer" and set(answer) >= KEYS
    assert "".join(data["text"] for _, data in events[:-1]) == answer["answer"]
    assert answer["answer"] == ask(client).json()["answer"]


def test_conversation_is_continued_listed_and_deleted(client):
    talk = ask(client).json()["conversation_id"]
    more = ask(client, "And what is it like?", conversation_id=talk).json()
    assert more["conversation_id"] == talk and "harbour" in more["question"]
    turns = client.get(f"/v1/conversations/{talk}").json()
    assert [turn["question"] for turn in turns] == [WHEN, "And what is it like?"]
    assert talk in [item["id"] for item in client.get("/v1/conversations").json()]
    assert client.delete(f"/v1/conversations/{talk}").json() == {"deleted": talk}
    assert error_of(client.get(f"/v1/conversations/{talk}")) == (404, "not_found")
    assert error_of(ask(client, conversation_id=talk)) == (404, "not_found")
    assert error_of(ask(client, conversation_id=talk, stream=True)) == (404, "not_found")


@pytest.mark.parametrize(
    "question", ["x", "", " ", "\x01\x02\x07", "\x00", "?" * 10, "word " * 200_000, "\u202e\ufeff"]
)
def test_ask_refuses_unusable_questions(client, question):
    assert error_of(ask(client, question)) == (400, "bad_input")
    assert error_of(ask(client, question, stream=True)) == (400, "bad_input")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("ask", b'{"question": "What is \\ud800 this?"}'),
        ("ask", b'{"question": "What is it?", "collection": "\\ud800"}'),
        ("ask", b'{"question": "What is it?", "conversation_id": "\\ud800"}'),
        ("feedback", b'{"id": "x", "rating": "up", "comment": "\\ud800"}'),
        ("collections", b'{"name": "\\ud800"}'),
    ],
)
def test_lone_surrogate_is_not_a_server_error(client, path, body):
    headers = {"content-type": "application/json"}
    assert client.post(f"/v1/{path}", content=body, headers=headers).status_code < 500


def test_ask_strips_control_characters_of_question(client):
    assert ask(client, f"\x07{WHEN}\x1b").json()["question"] == WHEN


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"question": WHEN, "k": 0}, 400),
        ({"question": WHEN, "k": 10**9}, 400),
        ({"question": WHEN, "strictness": 2}, 400),
        ({"question": WHEN, "mode": "sing"}, 400),
        ({"question": WHEN, "collection": "nope"}, 404),
        ({"question": WHEN, "collection": ""}, 400),
        ({"question": WHEN, "conversation_id": "nope"}, 404),
        ([], 400),
    ],
)
def test_invalid_request_returns_error_body(client, body, status):
    assert error_of(client.post("/v1/ask", json=body))[0] == status


def test_documents_are_added_listed_and_deleted(client):
    files = [
        ("files", ("new.md", b"# New\n\nThe lighthouse of Dorn is red.\n")),
        ("files", ("bad.pdf", b"%PDF-1.4 broken")),
    ]
    summary = client.post("/v1/documents", files=files).json()
    assert (summary["added"], [f["path"] for f in summary["failed"]]) == (1, ["bad.pdf"])
    assert summary["failed"][0]["reason"]
    listed = client.get("/v1/documents").json()
    assert {"new.md", *TEXTS} == {item["source"] for item in listed}
    assert "lighthouse" in ask(client, "What colour is the lighthouse of Dorn?").json()["answer"]
    again = client.post("/v1/documents", files=files[:1]).json()
    assert (again["added"], again["unchanged"]) == (0, 1)
    gone = client.delete("/v1/documents", params={"source": "new.md"})
    assert gone.json() == {"deleted": "new.md"}
    assert error_of(client.delete("/v1/documents", params={"source": "new.md"})) == (
        404,
        "not_found",
    )


def test_upload_over_size_limit_is_refused(client):
    big = [("files", ("big.txt", b"word " * 1_000_000))]
    assert error_of(client.post("/v1/documents", files=big)) == (413, "too_large")
    somewhat = [("files", ("big.txt", b"word " * 450_000))]
    assert "larger than 2 MB" in client.post("/v1/documents", files=somewhat).text


def test_document_page_marks_the_citation(client):
    cited = ask(client).json()["citations"][0]
    where = {key: cited[key] for key in ("source", "start", "end")}
    page = client.get("/v1/documents/view", params=where)
    assert f'<mark id="quote">{FACT}</mark>' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    past = client.get("/v1/documents/view", params={**where, "start": 9**12, "end": 9**13})
    assert past.status_code == 200 and "<mark" not in past.text


def test_collections_are_created_listed_and_deleted(client):
    assert client.post("/v1/collections", json={"name": "my/notes"}).status_code == 201
    assert "my/notes" in client.get("/v1/collections").json()
    assert error_of(client.post("/v1/collections", json={"name": "my/notes"})) == (400, "bad_input")
    files = [("files", ("a.md", b"Some words about nothing."))]
    summary = client.post("/v1/documents", files=files, data={"collection": "my/notes"}).json()
    assert summary["added"] == 1
    assert client.delete("/v1/collections/my/notes").json() == {"deleted": "my/notes"}
    assert error_of(client.delete("/v1/collections/my/notes")) == (404, "not_found")


def test_feedback_is_stored_and_exported(client, bot):
    answer = ask(client).json()
    body = {"id": answer["id"], "rating": "up", "comment": "Right."}
    assert client.post("/v1/feedback", json=body).json() == {"id": answer["id"], "rating": "up"}
    [case] = [case for case in bot.conversations.export() if case["id"] == answer["id"]]
    assert (case["question"], case["source"][0], case["comment"]) == (WHEN, "port.md", "Right.")
    assert error_of(client.post("/v1/feedback", json={**body, "id": "nope"})) == (404, "not_found")
    assert error_of(client.post("/v1/feedback", json={**body, "rating": "so-so"}))[0] == 400


def test_openapi_has_examples_and_error_responses(client):
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            if path.startswith("/v1"):
                assert {"400", "401", "404", "413", "429", "503"} <= set(route["responses"])
                assert "422" not in route["responses"], (method, path)
    schemas = document["components"]["schemas"]
    for name in ("AskRequest", "AskResponse", "FeedbackRequest", "CollectionRequest"):
        assert schemas[name]["examples"], name
    assert client.get("/docs").status_code == 404


def test_ready_fails_without_chroma_server(open_chatbot):
    open_chatbot(TEXTS).close()
    with closed_port() as port:
        dead = open_chatbot(chroma_url=f"http://127.0.0.1:{port}")
        app = create_app(dead, Settings(api_keys=""))
        check_answers_without_chroma(app)


def check_answers_without_chroma(app):
    with TestClient(app, raise_server_exceptions=False) as client:
        assert error_of(ask(client)) == (503, "unavailable")
        assert error_of(ask(client, stream=True)) == (503, "unavailable")
        assert error_of(client.get("/readyz")) == (503, "unavailable")
        assert client.get("/healthz").status_code == 200
        assert "port.md" in client.get("/v1/documents").text


OPENINGS = ("", "Yes: ", "Indeed, ", "In short, ", "So, ", "Again, ")


class Slow(BaseChatModel):
    """Slowly says the fact in other words; `left` is set when its stream ends or is closed."""

    left: threading.Event = threading.Event()
    pieces: int = 0

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _generate(self, *_, **__) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_, **__):
        try:
            for opening in OPENINGS:
                self.pieces += 1
                yield ChatGenerationChunk(message=AIMessageChunk(f"{opening}{FACT} "))
                time.sleep(0.5 if self.pieces < 3 else 5)
        finally:
            self.left.set()


def test_stream_stops_model_when_client_disconnects(open_chatbot, serve):
    model = Slow()
    bot = open_chatbot(TEXTS, model, mode="write", strictness=0)
    address = serve(create_app(bot, Settings(api_keys="")))
    request = urllib.request.Request(
        f"{address}/v1/ask",
        json.dumps({"question": WHEN, "stream": True}).encode(),
        {"content-type": "application/json"},
    )
    response = urllib.request.urlopen(request, timeout=30)
    assert response.readline() == b"event: token\n"
    assert not model.left.is_set()
    response.close()
    assert model.left.wait(40)
    assert model.pieces < len(OPENINGS)
    assert urllib.request.urlopen(f"{address}/healthz", timeout=30).status == 200
    assert bot.conversations.list("local") == []


def test_unexpected_error_hides_its_details(open_chatbot):
    def broken(_):
        raise RuntimeError("a private detail")

    bot = open_chatbot(TEXTS, ScriptedChatModel(broken), mode="write", strictness=0)
    app = create_app(bot, Settings(api_keys=""))
    with TestClient(app, raise_server_exceptions=False) as client:
        response = ask(client)
        assert error_of(response) == (500, "internal_error")
        assert "private" not in response.text


@pytest.mark.slow
def test_requests_allowed_by_schema_are_not_server_errors(open_chatbot):
    app = create_app(open_chatbot(TEXTS), Settings(api_keys=""))
    with TestClient(app, raise_server_exceptions=False) as client:
        send_what_the_schema_allows(client)


def send_what_the_schema_allows(client):
    document = client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document).include(path_regex="^/v1/")
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=10,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attempt(case):
            request = case.as_transport_kwargs(base_url="http://testserver")
            request.pop("cookies", None)
            response = client.request(**request)
            tried.append((case.operation.label, response.status_code))
            assert response.status_code < 500, (request, response.text)

        attempt()
    assert len({label for label, _ in tried}) >= 12
    assert {200, 404} <= {status for _, status in tried}
