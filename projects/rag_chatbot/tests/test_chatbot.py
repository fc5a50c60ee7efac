import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from rag_chatbot.chatbot import LOCAL, OPERATOR, Question
from seedbed.errors import BadInput, Busy, Conflict, Unavailable
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel
from seedbed.server.callers import Caller

TEXTS = {
    "port.md": "# Harbour\n\nThe harbour of Vellin opens at six in the morning.\n",
    "tea.md": "# Tea\n\nGreen tea from Asun is steeped for two minutes.\n",
}
WHEN = "When does the harbour of Vellin open?"


def test_check_tries_the_model_once(open_chatbot):
    model = ScriptedChatModel(["Hello."])
    bot = open_chatbot(TEXTS, model, mode="write")
    bot.check_ready()
    bot.check_ready()
    assert len(model.calls) == 1
    with pytest.raises(Unavailable, match="no weights"):
        open_chatbot(
            TEXTS, ScriptedChatModel([Unavailable("no weights")]), mode="write"
        ).check_ready()


def test_stream_closed_early_stores_nothing(open_chatbot):
    bot = open_chatbot(TEXTS)
    events = bot.stream(Question(WHEN), caller=LOCAL)
    assert isinstance(next(events), str)
    events.close()
    assert bot.list_conversations(LOCAL) == []


def test_ask_reports_an_empty_collection(open_chatbot):
    answer = open_chatbot().ask(Question("What is it?"), caller=LOCAL)
    assert answer["abstained"] and "no documents yet" in answer["notices"][0]


def test_create_collection_reveals_no_taken_names(open_chatbot):
    bot = open_chatbot()
    bot.create_collection("alice/notes", ["alice"], ["alice"], Caller("alice"))
    said = []
    for name in ("alice/notes", "alice/other"):
        with pytest.raises(BadInput, match="must begin with 'bob/'") as error:
            bot.create_collection(name, ["*"], ["*"], Caller("bob"))
        said.append(str(error.value).replace(name, "NAME"))
    assert said[0] == said[1]
    with pytest.raises(Conflict, match="is not available"):
        bot.create_collection("alice/notes", ["*"], ["*"], Caller("alice"))


@pytest.mark.parametrize("error", [Unavailable("It stopped."), Busy("It stopped.")])
def test_upload_raises_what_is_not_the_fault_of_a_file(open_chatbot, error):
    class Stopping(HashEmbeddings):
        def embed(self, texts):
            if any("second" in text for text in texts):
                raise error
            return super().embed(texts)

    bot = open_chatbot()
    bot.store.embeddings = Stopping()
    files = [(f"{name}.md", f"The {name} file.".encode()) for name in ("first", "second", "third")]
    with pytest.raises(type(error), match="stopped"):
        bot.upload(files, "default", LOCAL)
    assert [item["source"] for item in bot.documents("default", LOCAL)] == ["first.md"]
    assert bot.search("The first file", collection="default", caller=LOCAL)


def test_ask_while_its_document_is_replaced_always_answers(open_chatbot):
    bot = open_chatbot(TEXTS)
    done = threading.Event()

    def replace():
        try:
            for n in range(25):
                text = f"{TEXTS['port.md']}\nThis is version {n}.\n"
                bot.upload([("port.md", text.encode())], "default", LOCAL)
        finally:
            done.set()

    answers = []

    def ask():
        while not done.is_set():
            answers.append(bot.ask(Question(WHEN, keep=False), caller=LOCAL)["answer"])

    with ThreadPoolExecutor() as pool:
        for future in [pool.submit(run) for run in (replace, ask, ask, ask)]:
            future.result()
    assert answers and all("six in the morning" in answer for answer in answers)


def test_default_collection_survives_its_deletion(open_chatbot):
    bot = open_chatbot(TEXTS)
    bot.delete_collection("default", LOCAL)
    assert bot.documents("default", LOCAL) == []
    assert bot.upload([("a.md", b"Some words.")], "default", LOCAL).added == 1


def test_chatbot_opens_with_damaged_conversations(open_chatbot, config):
    config.data_dir.mkdir(parents=True)
    (config.data_dir / "conversations.sqlite").write_text("garbage " * 200)
    bot = open_chatbot(TEXTS)
    assert "six" in bot.ask(Question(WHEN, keep=False), caller=OPERATOR)["answer"]
    with pytest.raises(Unavailable, match=r"conversations\.sqlite' is damaged.*Move it away"):
        bot.check_ready()
    (config.data_dir / "conversations.sqlite").unlink()
    bot.check_ready()
    assert bot.ask(Question(WHEN), caller=LOCAL)["conversation_id"]
