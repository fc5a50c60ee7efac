from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rag_chatbot.chatbot import OPERATOR
from rag_chatbot.ingest import ingest_uploads
from rag_chatbot.talk.api import create_app
from seedbed.settings import Settings

SECRET = "The safe of Alice opens with the number 4711."
QUESTION = "Which number opens the safe of Alice?"
FIXED_ID = {"x-request-id": "same"}


@pytest.fixture(scope="module")
def bot(open_shared):
    chatbot = open_shared({"shared.md": "Everybody may read this sentence."}, writers="bob")
    chatbot.create_collection("alice/safe", ["alice"], ["alice"], OPERATOR)
    ingest_uploads(chatbot.store, [("secret.md", SECRET.encode())], collection="alice/safe")
    return chatbot


@pytest.fixture(scope="module")
def client(bot):
    app = create_app(bot, Settings(api_keys="alice=key-a,bob=key-b"))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def call(client, key, method, path, **more):
    headers = {**FIXED_ID, "authorization": f"Bearer {key}"}
    return client.request(method, f"/v1/{path}", headers=headers, **more)


def requests_naming(collection):
    """Every request that names a collection, as (method, path, options)."""
    question_body = {"question": QUESTION, "collection": collection}
    where = {"source": "secret.md", "collection": collection}
    files = [("files", ("x.md", b"words"))]
    return [
        ("POST", "ask", {"json": question_body}),
        ("POST", "ask", {"json": {**question_body, "stream": True}}),
        ("POST", "search", {"json": {"query": QUESTION, "collection": collection}}),
        (
            "POST",
            "chat/completions",
            {"json": {"model": collection, "messages": [{"role": "user", "content": QUESTION}]}},
        ),
        ("GET", "documents", {"params": {"collection": collection}}),
        ("POST", "documents", {"files": files, "data": {"collection": collection}}),
        ("DELETE", "documents", {"params": where}),
        ("GET", "documents/view", {"params": where}),
        ("POST", "collections", {"json": {"name": collection}}),
        ("DELETE", f"collections/{collection}", {}),
    ]


def test_foreign_collection_looks_missing(client):
    pairs = zip(requests_naming("alice/safe"), requests_naming("alice/none"), strict=True)
    for existing, absent in pairs:
        hidden = call(client, "key-b", *existing[:2], **existing[2])
        missing = call(client, "key-b", *absent[:2], **absent[2])
        assert hidden.status_code in (400, 404), existing
        assert hidden.status_code == missing.status_code, existing
        assert hidden.content.replace(b"alice/safe", b"alice/none") == missing.content
        assert hidden.headers.items() ^ missing.headers.items() == set()
        assert b"4711" not in hidden.content


def test_collection_is_visible_to_its_keys_only(client):
    assert call(client, "key-a", "GET", "collections").json() == ["alice/safe", "default"]
    assert call(client, "key-b", "GET", "collections").json() == ["default"]
    question_body = {"question": QUESTION, "collection": "alice/safe"}
    answer = call(client, "key-a", "POST", "ask", json=question_body).json()
    other = call(client, "key-b", "POST", "ask", json={"question": QUESTION}).text
    assert "4711" not in other and "secret.md" not in other
    conversation = answer["conversation_id"]
    for method in ("GET", "DELETE"):
        assert call(client, "key-b", method, f"conversations/{conversation}").status_code == 404
    follow_up = {"question": QUESTION, "conversation_id": conversation}  # asks its collection
    assert "4711" in call(client, "key-a", "POST", "ask", json=follow_up).json()["answer"]
    for key, status in (("key-a", 400), ("key-b", 404)):
        body = {**follow_up, "collection": "default"}
        assert call(client, key, "POST", "ask", json=body).status_code == status
    rating = {"id": answer["id"], "rating": "down"}
    assert call(client, "key-b", "POST", "feedback", json=rating).status_code == 404
    assert call(client, "key-a", "GET", f"conversations/{conversation}").json()[0]["rating"] is None


def test_right_that_was_taken_away_hides_the_conversations_about_it(client, bot):
    bot.create_collection("team", ["bob"], ["bob"], OPERATOR)
    ingest_uploads(bot.store, [("plan.md", SECRET.encode())], collection="team")
    body = {"question": QUESTION, "collection": "team"}
    conversation = call(client, "key-b", "POST", "ask", json=body).json()["conversation_id"]
    db = bot.store.database.connection
    db.execute("UPDATE collections SET readers = '[]', writers = '[]' WHERE name = 'team'")
    assert call(client, "key-b", "GET", f"conversations/{conversation}").status_code == 404
    assert conversation not in call(client, "key-b", "GET", "conversations").text
    follow_up = {"question": "And then?", "conversation_id": conversation}
    assert call(client, "key-b", "POST", "ask", json=follow_up).status_code == 404
    bot.delete_collection("team", OPERATOR)


def test_collection_belongs_to_the_key_that_made_it(client):
    body = {"name": "alice/diary"}
    assert call(client, "key-a", "POST", "collections", json=body).status_code == 201
    for method, path, options in requests_naming("alice/diary"):
        assert call(client, "key-b", method, path, **options).status_code in (400, 404), path
    assert call(client, "key-a", "DELETE", "collections/alice/diary").status_code == 200
    shared = {"name": "alice/diary", "readers": ["bob"]}
    assert call(client, "key-a", "POST", "collections", json=shared).status_code == 201
    assert "alice/diary" in call(client, "key-b", "GET", "collections").json()
    assert call(client, "key-b", "DELETE", "collections/alice/diary").status_code == 403
    assert call(client, "key-a", "DELETE", "collections/alice/diary").status_code == 200


def test_default_collection_is_read_only_for_keys_without_the_right(client):
    where = {"collection": "default"}
    files = [("files", ("x.md", b"words"))]
    for response in (
        call(client, "key-a", "POST", "documents", files=files, data=where),
        call(client, "key-a", "DELETE", "documents", params={**where, "source": "shared.md"}),
        call(client, "key-a", "DELETE", "collections/default"),
    ):
        assert response.status_code == 403 and "read-only" in response.text
    documents = call(client, "key-a", "GET", "documents").json()
    assert "shared.md" in {item["source"] for item in documents}


@pytest.mark.parametrize(
    "name",
    ["../../../../tmp/escaped.md", "..\\..\\escaped.md", "/etc/escaped.md", "a/../escaped.md"],
)
def test_name_never_becomes_a_path(client, bot, name):
    for method, path in (("GET", "documents/view"), ("DELETE", "documents")):
        assert call(client, "key-b", method, path, params={"source": name}).status_code == 404
    files = [("files", (name, b"A harmless sentence."))]
    summary = call(client, "key-b", "POST", "documents", files=files).json()
    assert summary["added"] + summary["unchanged"] == 1
    documents = call(client, "key-b", "GET", "documents").json()
    assert {item["source"] for item in documents} == {"shared.md", "escaped.md"}
    assert not list(bot.config.data_dir.parent.rglob("escaped.md"))


def call_page(client, name, data, key="key-b"):
    """The raw response of one of the page's functions to arbitrary data."""
    headers = {"authorization": f"Bearer {key}"}
    config = client.get("/config", headers=headers).json()
    [number] = [d["id"] for d in config["dependencies"] if d["api_name"] == name]
    body = {"data": data, "fn_index": number, "session_hash": f"{name}-{key}"}
    client.post("/gradio_api/queue/join", json=body, headers=headers)
    return client.get(f"/gradio_api/queue/data?session_hash={name}-{key}", headers=headers).text


def test_page_accepts_no_server_path(client, tmp_path):
    private = tmp_path / "private.md"
    private.write_text("A private sentence about the server.")
    file = {"path": str(private), "meta": {"_type": "gradio.FileData"}}
    response = call_page(client, "upload", [[file], "default"])
    assert '"success":false' in response and "private sentence" not in response
    documents = call(client, "key-b", "GET", "documents").json()
    assert "private.md" not in {item["source"] for item in documents}
    headers = {"authorization": "Bearer key-b"}
    assert client.get(f"/gradio_api/file={private}", headers=headers).status_code == 404


def test_upload_on_page_is_deleted_and_never_served(client):
    headers = {"authorization": "Bearer key-a"}
    for name, content in (("note.md", b"A private note."), ("bad.pdf", b"%PDF-1.4 broken")):
        files = [("files", (name, content))]
        [path] = client.post("/gradio_api/upload", files=files, headers=headers).json()
        assert Path(path).read_bytes() == content
        for key in ("key-a", "key-b"):
            for form in (f"file={path}", f"file/{path}"):
                address = f"/gradio_api/{form}"
                answer = client.get(address, headers={"authorization": f"Bearer {key}"})
                assert answer.status_code == 404 and content not in answer.content
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        response = call_page(client, "upload", [[file], "default"], "key-a")
        assert '"success":true' in response
        assert not Path(path).exists()


def test_page_applies_access_rules_of_key(client):
    for key, visible in (("key-a", True), ("key-b", False)):
        response = call_page(client, "list_documents", ["default"], key)
        assert '"success":true' in response and ("alice/safe" in response) is visible
