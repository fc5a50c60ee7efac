"""OpenAI's protocol, with OpenAI's own client and with LangChain's, against a served app."""

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI

from rag_chatbot.talk.api import create_app
from seedbed.settings import Settings

FACT = "The harbour of Vellin opens at six in the morning."
TEXTS = {"port.md": f"# Harbour\n\n## Hours\n\n{FACT}\n", "tea.md": "# Tea\n\nSteep tea briefly.\n"}
WHEN = "When does the harbour of Vellin open?"


@pytest.fixture
def address(open_chatbot, serve):
    return serve(create_app(open_chatbot(TEXTS), Settings(api_keys="")))


@pytest.fixture
def client(address):
    with OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client:
        yield client


def user(text):
    return {"role": "user", "content": text}


def test_openai_client_gets_and_streams_an_answer_with_sources(client, address):
    assert [model.id for model in client.models.list()] == ["default"]
    answer = client.chat.completions.create(model="default", messages=[user(WHEN)])
    message = answer.choices[0].message
    assert message.content == f"{FACT} [1]\n\nSources:\n[1] port.md, Hours"
    [citation] = answer.citations
    assert citation["quote"] == FACT
    link = message.annotations[0].url_citation
    assert message.content[link.start_index : link.end_index] == "[1]"
    assert link.title == "port.md, Hours" and link.url.startswith(f"{address}/v1/documents/view?")
    assert f"<mark id='quote'>{FACT}</mark>" in httpx.get(link.url).text

    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="default", messages=[user(WHEN)], **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == message.content
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage == answer.usage
    assert [chunk.citations for chunk in chunks if hasattr(chunk, "citations")] == [[citation]]


def test_openai_client_continues_conversation_of_its_messages(client):
    first = client.chat.completions.create(model="default", messages=[user(WHEN)])
    follow_up = "And what about its hours?"
    alone = client.chat.completions.create(model="default", messages=[user(follow_up)])
    messages = [
        {"role": "system", "content": "Answer in rhymes about tea."},
        user(WHEN),
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": [{"type": "text", "text": follow_up}]},
    ]
    continued = client.chat.completions.create(model="default", messages=messages)
    assert "harbour of Vellin" not in alone.choices[0].message.content
    assert "harbour of Vellin" in continued.choices[0].message.content


@pytest.mark.parametrize("stream", [True, False])
def test_openai_client_raises_for_unknown_collection(client, stream):
    with pytest.raises(openai.NotFoundError, match="Unknown collection 'nope'"):
        client.chat.completions.create(model="nope", messages=[user(WHEN)], stream=stream)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([user("?")], "contains no words"),
        ([], "messages"),
        ([user(WHEN), {"role": "assistant", "content": "Yes."}], "role 'user'"),
        ([user([{"type": "image_url", "image_url": {"url": "x"}}])], "POST /v1/documents"),
    ],
)
def test_openai_client_raises_for_what_is_not_supported(client, messages, message):
    with pytest.raises(openai.BadRequestError, match=message):
        client.chat.completions.create(model="default", messages=messages)


def test_langchain_invokes_and_streams(address):
    own = {"metadata": {"chat_id": "1"}, "tools": []}  # of Open WebUI
    model = ChatOpenAI(
        model="default", base_url=f"{address}/v1", api_key="any", temperature=0.3, extra_body=own
    )
    messages = [SystemMessage("Be brief."), HumanMessage(WHEN)]
    reply = model.invoke(messages)
    assert isinstance(reply, AIMessage) and reply.text.startswith(FACT)
    assert reply.usage_metadata is not None
    assert "".join(chunk.text for chunk in model.stream(messages)) == reply.text
