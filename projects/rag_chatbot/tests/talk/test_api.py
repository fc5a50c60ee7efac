import json

import pytest
from fastapi.testclient import TestClient

from rag_chatbot.chatbot import Chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest_uploads
from rag_chatbot.talk.api import create_app
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.settings import Settings, load
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
def bot(tmp_path_factory, answer_mode, repeating_model):
    config = load(Config, data_dir=tmp_path_factory.mktemp("data"), mode=answer_mode, max_file_mb=2)
    chatbot = Chatbot(config, HashEmbeddings(), lambda: repeating_model, "scripted")
    for name, text in TEXTS.items():
        ingest_uploads(chatbot.store, [(name, text.encode())])
    yield chatbot
    chatbot.close()


@pytest.fixture(scope="module")
def client(bot):
    with TestClient(
        create_app(bot, Settings(api_keys="")), raise_server_exceptions=False
    ) as client:
        yield client


def ask(client, question=WHEN, **more):
    return client.post("/v1/ask", json={"question": question, **more})


def status_and_type(response):
    body = response.json()["error"]
    assert set(body) == {"type", "message", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    return response.status_code, body["type"]


def parse_events(text):
    parts = [part.split("\ndata: ") for part in text.strip().split("\n\n")]
    return [(kind.removeprefix("event: "), json.loads(data)) for kind, data in parts]


def test_ask_returns_answer_with_citations(client):
    response = ask(client)
    answer = response.json()
    assert response.status_code == 200 and set(answer) >= KEYS
    citation = answer["citations"][0]
    assert set(citation) >= {"n", "source", "page", "heading", "quote"}
    assert (citation["n"], citation["source"], citation["heading"]) == (1, "port.md", "Hours")
    assert citation["quote"] in TEXTS["port.md"] and answer["abstained"] is False


def test_ask_streams_same_answer(client):
    response = ask(client, stream=True)
    events = parse_events(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert [kind for kind, _ in events[:-1]] == ["token"] * (len(events) - 1)
    kind, answer = events[-1]
    assert kind == "answer" and set(answer) >= KEYS
    assert "".join(data["text"] for _, data in events[:-1]) == answer["answer"]
    assert answer["answer"] == ask(client).json()["answer"]


def test_conversations_are_continued_listed_and_deleted(client):
    conversation = ask(client).json()["conversation_id"]
    more = ask(client, "And what is it like?", conversation_id=conversation).json()
    assert more["conversation_id"] == conversation and "harbour" in more["question"]
    turns = client.get(f"/v1/conversations/{conversation}").json()
    assert [turn["question"] for turn in turns] == [WHEN, "And what is it like?"]
    assert conversation in [item["id"] for item in client.get("/v1/conversations").json()]
    assert client.delete(f"/v1/conversations/{conversation}").json() == {"deleted": conversation}
    assert status_and_type(client.get(f"/v1/conversations/{conversation}")) == (404, "not_found")
    assert status_and_type(ask(client, conversation_id=conversation)) == (404, "not_found")
    assert status_and_type(ask(client, conversation_id=conversation, stream=True)) == (
        404,
        "not_found",
    )


@pytest.mark.parametrize("question", ["", "x", "\x00\x01", "word " * 200_000, "\u202e\ufeff"])
def test_ask_rejects_questions_without_words(client, question):
    assert status_and_type(ask(client, question)) == (400, "bad_input")
    assert status_and_type(ask(client, question, stream=True)) == (400, "bad_input")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"question": WHEN, "collection": "nope"}, 404),
        ({"question": WHEN, "collection": ""}, 400),
        ({"question": WHEN, "conversation_id": "nope"}, 404),
        ([], 400),
    ],
)
def test_ask_returns_error_body_for_invalid_request(client, body, status):
    assert status_and_type(client.post("/v1/ask", json=body))[0] == status


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("ask", {"question": WHEN, "colection": "team"}, "colection"),
        ("collections", {"name": "notes", "reader": ["ann"]}, "reader"),
    ],
)
def test_unknown_field_is_refused_by_name(client, path, body, field):
    response = client.post(f"/v1/{path}", json=body)
    assert status_and_type(response) == (400, "bad_input")
    assert response.json()["error"]["message"].startswith(f"{field}: ")


def test_search_returns_nearest_passages(client):
    response = client.post("/v1/search", json={"query": "opening hours of the harbour", "k": 1})
    [passage] = response.json()["passages"]
    found = passage["source"], passage["heading"], passage["text"]
    assert found == ("port.md", "Hours", f"Hours\n\n{FACT}")
    assert status_and_type(client.post("/v1/search", json={"query": " "})) == (400, "bad_input")
    missing = client.post("/v1/search", json={"query": "tea", "collection": "nope"})
    assert status_and_type(missing) == (404, "not_found")


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
    assert "lighthouse" in ask(client, "What colour is the lighthouse of Dorn?").json()["answer"]
    again = client.post("/v1/documents", files=files[:1]).json()
    assert (again["added"], again["unchanged"]) == (0, 1)
    response = client.delete("/v1/documents", params={"source": "new.md"})
    assert response.json() == {"deleted": "new.md"}
    assert status_and_type(client.delete("/v1/documents", params={"source": "new.md"})) == (
        404,
        "not_found",
    )


def test_document_view_marks_citation(client):
    citation = ask(client).json()["citations"][0]
    where = {key: citation[key] for key in ("source", "start", "end")}
    page = client.get("/v1/documents/view", params=where)
    assert f"<mark id='quote'>{FACT}</mark>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    beyond_end = client.get("/v1/documents/view", params={**where, "start": 9**12, "end": 9**13})
    assert beyond_end.status_code == 200 and "<mark" not in beyond_end.text


def test_document_view_of_missing_document_is_a_page(client):
    page = client.get("/v1/documents/view", params={"source": "<gone>.md"})
    assert page.status_code == 404 and page.headers["content-type"].startswith("text/html")
    assert "&lt;gone&gt;.md" in page.text and "deleted" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_feedback_is_stored_and_exported(client, bot):
    answer = ask(client).json()
    body = {"id": answer["id"], "rating": "up"}
    assert client.post("/v1/feedback", json=body).json() == {"id": answer["id"], "rating": "up"}
    [case] = [case for case in bot.conversations.export() if case["id"] == answer["id"]]
    assert (case["question"], case["source"][0]) == (WHEN, "port.md")
    assert status_and_type(client.post("/v1/feedback", json={**body, "id": "nope"})) == (
        404,
        "not_found",
    )
    assert status_and_type(client.post("/v1/feedback", json={**body, "rating": "so-so"}))[0] == 400


def test_feedback_on_a_greeting_is_not_a_test_question(client, bot):
    answer = ask(client, "Hello!").json()
    assert not answer["abstained"] and not answer["citations"]
    body = {"id": answer["id"], "rating": "up"}
    assert client.post("/v1/feedback", json=body).status_code == 200
    assert answer["id"] not in [case["id"] for case in bot.conversations.export()]


def test_documents_are_listed_with_their_format(client):
    mail = b"Subject: Harbour\nFrom: a@b.example\n\nThe crane is yellow.\n"
    files = [
        ("files", ("crane.eml", mail)),
        ("files", ("crane.csv", b"name,colour\ncrane,yellow\n")),
    ]
    assert client.post("/v1/documents", files=files).json()["added"] == 2
    kinds = {item["source"]: item["type"] for item in client.get("/v1/documents").json()}
    assert kinds["crane.eml"] == "email" and kinds["crane.csv"] == "csv"
    for name in ("crane.eml", "crane.csv"):
        client.delete("/v1/documents", params={"source": name})


def test_openapi_has_error_responses(client):
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            if path.startswith("/v1"):
                assert {"4XX", "5XX"} <= set(route["responses"])
                assert "422" not in route["responses"], (method, path)
    assert client.get("/docs").status_code == 404


def test_ready_fails_without_chroma_server(open_chatbot):
    open_chatbot(TEXTS).close()
    with closed_port() as port:
        chatbot = open_chatbot(chroma_url=f"http://127.0.0.1:{port}")
        app = create_app(chatbot, Settings(api_keys=""))
        check_responses_without_chroma(app)


def check_responses_without_chroma(app):
    with TestClient(app, raise_server_exceptions=False) as client:
        assert status_and_type(ask(client)) == (503, "unavailable")
        assert status_and_type(ask(client, stream=True)) == (503, "unavailable")
        assert status_and_type(client.get("/readyz")) == (503, "unavailable")
        assert client.get("/healthz").status_code == 200
        assert "port.md" in client.get("/v1/documents").text


def test_deleted_document_leaves_no_text_in_conversations(client, bot):
    files = [("files", ("gate.md", b"The gate of Tarn is ultramarine."))]
    assert client.post("/v1/documents", files=files).json()["added"] == 1
    answer = ask(client, "What colour is the gate of Tarn?").json()
    assert "ultramarine" in answer["answer"]
    client.delete("/v1/documents", params={"source": "gate.md"})
    turns = client.get(f"/v1/conversations/{answer['conversation_id']}").text
    assert "gate of Tarn?" in turns and "ultramarine" not in turns
    assert b"ultramarine" not in bot.conversations.path.read_bytes()
