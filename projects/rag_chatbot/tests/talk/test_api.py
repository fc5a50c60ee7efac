import json

import pytest
from fastapi.testclient import TestClient

from rag_chatbot.talk.api import create_app
from seedbed.settings import Settings
from seedbed.testing.contract import expect_error
from seedbed.testing.launch import closed_port

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
def bot(open_shared):
    return open_shared(TEXTS, max_file_mb=2)


@pytest.fixture(scope="module")
def client(bot):
    app = create_app(bot, Settings(api_keys=""))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def ask(client, question=WHEN, **more):
    return client.post("/v1/ask", json={"question": question, **more})


def parse_events(text):
    parts = [part.split("\ndata: ") for part in text.strip().split("\n\n")]
    return [(kind.removeprefix("event: "), json.loads(data)) for kind, data in parts]


def test_ask_returns_and_streams_an_answer_with_citations(client):
    answer = ask(client).json()
    assert set(answer) >= KEYS and answer["abstained"] is False
    assert not isinstance(answer["usage"]["input_tokens"], float)
    citation = answer["citations"][0]
    assert set(citation) >= {"n", "source", "page", "heading", "quote"}
    assert (citation["n"], citation["source"], citation["heading"]) == (1, "port.md", "Hours")
    assert citation["quote"] in TEXTS["port.md"]
    response = ask(client, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    *tokens, (kind, streamed) = parse_events(response.text)
    assert {kind for kind, _ in tokens} == {"token"}
    assert kind == "answer" and set(streamed) >= KEYS
    assert "".join(data["text"] for _, data in tokens) == streamed["answer"] == answer["answer"]


def test_conversations_are_continued_listed_and_deleted(client):
    conversation = ask(client).json()["conversation_id"]
    more = ask(client, "And what is it like?", conversation_id=conversation).json()
    assert more["conversation_id"] == conversation and "harbour" in more["question"]
    turns = client.get(f"/v1/conversations/{conversation}").json()
    assert [turn["question"] for turn in turns] == [WHEN, "And what is it like?"]
    assert conversation in [item["id"] for item in client.get("/v1/conversations").json()]
    assert client.delete(f"/v1/conversations/{conversation}").json() == {"deleted": conversation}
    expect_error(client.get(f"/v1/conversations/{conversation}"), 404, "not_found")
    for stream in (True, False):
        response = ask(client, conversation_id=conversation, stream=stream)
        expect_error(response, 404, "not_found")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("question", ["", "x", "\x00\x01", "word " * 200_000, "\u202e\ufeff"])
def test_ask_rejects_questions_without_words(client, question, stream):
    expect_error(ask(client, question, stream=stream), 400, "bad_input")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"question": None}, 400),
        ({"colection": "team"}, 400),
        ({"collection": ""}, 400),
        ({"collection": "nope"}, 404),
        ({"conversation_id": "nope"}, 404),
    ],
)
def test_ask_returns_error_for_invalid_request(client, change, status):
    [field] = change
    message = expect_error(ask(client, **{"question": WHEN, **change}), status)
    assert status == 404 or message.startswith(f"{field}: ")


def test_search_returns_nearest_passages(client):
    response = client.post("/v1/search", json={"query": "opening hours of the harbour", "k": 1})
    [passage] = response.json()["passages"]
    found = passage["source"], passage["heading"], passage["text"]
    assert found == ("port.md", "Hours", f"Hours\n\n{FACT}")
    expect_error(client.post("/v1/search", json={"query": " "}), 400, "bad_input")


def test_page_of_an_allowed_site_may_ask(open_chatbot):
    site = {"origin": "https://site.example", "sec-fetch-site": "cross-site"}
    preflight = {**site, "access-control-request-method": "POST"}
    preflight["access-control-request-headers"] = "authorization,content-type"
    settings = Settings(api_keys="alice=key-a")
    app = create_app(open_chatbot(TEXTS, cors_origins="https://site.example/, x"), settings)
    with TestClient(app) as client:
        response = client.options("/v1/ask", headers=preflight)
        assert response.headers["access-control-allow-origin"] == "https://site.example"
        with_key = {**site, "authorization": "Bearer key-a"}
        response = client.post("/v1/ask", json={"question": WHEN}, headers=with_key)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://site.example"
        assert "access-control-allow-credentials" not in response.headers
        assert client.post("/v1/ask", json={"question": WHEN}, headers=site).status_code == 401
        other = {**with_key, "origin": "https://other.example"}
        response = client.post("/v1/ask", json={"question": WHEN}, headers=other)
        assert response.status_code == 401 and "cross-site" in response.text.lower()


def test_documents_are_added_listed_and_deleted(client):
    files = [
        ("files", ("new.md", b"# New\n\nThe lighthouse of Dorn is red.\n")),
        ("files", ("bad.pdf", b"%PDF-1.4 broken")),
    ]
    summary = client.post("/v1/documents", files=files).json()
    assert (summary["added"], [f["path"] for f in summary["failed"]]) == (1, ["bad.pdf"])
    assert summary["failed"][0]["reason"]
    documents = client.get("/v1/documents").json()
    assert {"new.md", *TEXTS} == {item["source"] for item in documents}
    assert {item["type"] for item in documents} == {"markdown"}
    assert "lighthouse" in ask(client, "What colour is the lighthouse of Dorn?").json()["answer"]
    again = client.post("/v1/documents", files=files[:1]).json()
    assert (again["added"], again["unchanged"]) == (0, 1)
    response = client.delete("/v1/documents", params={"source": "new.md"})
    assert response.json() == {"deleted": "new.md"}
    expect_error(client.delete("/v1/documents", params={"source": "new.md"}), 404, "not_found")


def test_deleted_document_leaves_no_text_in_conversations(client, bot):
    files = [("files", ("gate.md", b"The gate of Tarn is ultramarine."))]
    assert client.post("/v1/documents", files=files).json()["added"] == 1
    answer = ask(client, "What colour is the gate of Tarn?").json()
    assert "ultramarine" in answer["answer"]
    client.delete("/v1/documents", params={"source": "gate.md"})
    turns = client.get(f"/v1/conversations/{answer['conversation_id']}").text
    assert "gate of Tarn?" in turns and "ultramarine" not in turns
    assert b"ultramarine" not in bot.conversations.path.read_bytes()


def test_document_view_marks_citation(client):
    citation = ask(client).json()["citations"][0]
    where = {key: citation[key] for key in ("source", "start", "end")}
    page = client.get("/v1/documents/view", params=where)
    assert f"<mark id='quote'>{FACT}</mark>" in page.text
    beyond_end = client.get("/v1/documents/view", params={**where, "start": 9**12, "end": 9**13})
    assert beyond_end.status_code == 200 and "<mark" not in beyond_end.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    expect_error(client.get("/v1/documents/view", params={"source": "gone.md"}), 404, "not_found")


def test_feedback_becomes_a_test_question_unless_it_is_on_a_greeting(client, bot):
    answer, greeting = ask(client).json(), ask(client, "Hello!").json()
    assert not greeting["abstained"] and not greeting["citations"]
    for rated in (answer, greeting):
        body = {"id": rated["id"], "rating": "up"}
        assert client.post("/v1/feedback", json=body).json() == body
    [case] = bot.conversations.export()
    assert (case["id"], case["question"], case["source"]) == (answer["id"], WHEN, ["port.md"])
    expect_error(client.post("/v1/feedback", json={**body, "id": "nope"}), 404, "not_found")
    expect_error(client.post("/v1/feedback", json={**body, "rating": "so-so"}), 400, "bad_input")


def test_ready_fails_without_chroma_server(open_chatbot):
    open_chatbot(TEXTS).close()
    with closed_port() as port:
        app = create_app(open_chatbot(chroma_url=f"http://127.0.0.1:{port}"), Settings(api_keys=""))
        with TestClient(app, raise_server_exceptions=False) as client:
            for response in (ask(client), ask(client, stream=True), client.get("/readyz")):
                expect_error(response, 503, "unavailable")
            assert client.get("/healthz").status_code == 200
            assert "port.md" in client.get("/v1/documents").text
