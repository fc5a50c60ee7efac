"""Answers over a small handwritten collection: quoted, refused, followed up."""

from collections.abc import Callable

from rag_chatbot.answer.answer import ABSTENTION, Answer, Answerer
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.answer.quote.features import candidates
from rag_chatbot.answer.quote.quoter import compose
from rag_chatbot.chatbot import LOCAL, Chatbot, Question
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest_bytes
from rag_chatbot.search.retrieve import Hit, Retriever
from rag_chatbot.store.store import Chunk, Store
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel

OpenAnswerer = Callable[..., Answerer]


def test_quote_mode_cites_the_span_that_answers(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask("Which port does the server listen on by default?")
    assert "listens on port 7421 by default." in answer.answer
    assert not answer.abstained
    for citation in answer.citations:
        assert f"[{citation.n}]" in answer.answer
        assert guide[citation.start : citation.end] == citation.quote
    assert {"retrieve", "quote", "first_token", "total"} <= set(answer.timings)


def test_answer_has_at_most_ninety_words(answerer: OpenAnswerer) -> None:
    text = "\n\n".join(
        f"Kestrel number {n} has {n} wings and {'very ' * 20}long legs." for n in range(9)
    )
    answer = answerer(text).ask("How many wings has Kestrel number 3?")
    assert len(answer.answer.split()) <= 90
    assert 1 <= len(answer.citations) <= 3


def test_stream_yields_the_answer_in_pieces(answerer: OpenAnswerer, guide: str) -> None:
    *pieces, answer = answerer(guide).stream("How long are logs kept?")
    assert isinstance(answer, Answer)
    assert "".join(str(piece) for piece in pieces) == answer.answer


def test_answer_abstains_without_support(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask("Who painted the Mona Lisa in Florence?", strictness=1.0)
    assert answer.abstained
    assert answer.answer == ABSTENTION
    assert answer.citations == ()
    assert answer.passages[0].chunk.source == "0.md"


def test_answer_abstains_on_an_empty_collection(answerer: OpenAnswerer) -> None:
    answer = answerer().ask("Which port does it use?")
    assert answer.abstained


def test_follow_up_is_searched_with_the_previous_question(
    answerer: OpenAnswerer, guide: str
) -> None:
    bot = answerer(guide)
    answer = bot.ask(
        "And how do I change it?", history=[Exchange("Which port does Kestrel use?", "7421")]
    )
    assert "Which port does Kestrel use?" in answer.question
    assert "kestrel config set port 9000" in answer.answer


def test_standalone_question_ignores_the_history(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask(
        "In which file does the Kestrel server keep its settings?",
        history=[Exchange("How large is the moon?", "Large.")],
    )
    assert answer.question == "In which file does the Kestrel server keep its settings?"


def test_long_history_is_cut_with_a_notice(answerer: OpenAnswerer, guide: str) -> None:
    answer = answerer(guide).ask(
        "And the port?", history=[Exchange(f"Question {n}?") for n in range(9)]
    )
    assert "last 6 of 9" in answer.notices[0]


def test_quote_mode_may_quote_an_injected_passage(answerer: OpenAnswerer, evil: str) -> None:
    answer = answerer(evil).ask("What is the port of Kestrel?", mode="quote")
    assert "The port of Kestrel is secret." in answer.answer
    assert answer.usage == {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


def test_quote_puts_the_term_before_a_part_of_its_definition() -> None:
    text = "It is 128 megabytes by default. Restart the server after a change."
    chunk = Chunk(1, 1, "a.html", 0, text, "Memory › zeta_size:", None, 0, len(text), "", "html")
    [first, second] = candidates([Hit(chunk, 1.0, 1.0, None)])
    assert "".join(compose([second])) == "zeta_size: Restart the server after a change. [1]"
    assert "".join(compose([first])).startswith("zeta_size: It is")


def test_ask_in_quote_mode_loads_no_model(config: Config) -> None:
    loaded: list[str] = []

    def load() -> ScriptedChatModel:
        loaded.append("smollm2")
        return ScriptedChatModel(["Hello."])

    bot = Chatbot(config, HashEmbeddings(), load, "smollm2")
    bot.check()
    assert bot.ask(Question("What is it?"), caller=LOCAL)["model"] == "smollm2"
    assert loaded == []
    bot.close()


class Spelling(HashEmbeddings):
    """Embeddings whose vocabulary has no word of the question."""

    def count_tokens(self, text: str) -> int:
        return 2 * len(text.split())


def test_each_repaired_word_finds_the_passages_that_repair_the_next(
    open_store: Callable[..., Store],
) -> None:
    store = open_store(embeddings=Spelling())
    ingest_bytes(
        store, "desk.md", b"A printer fits into every old room with a wide desk near its door."
    )
    ingest_bytes(store, "ink.md", b"Printer cartridge: printer.")
    answerer = Answerer(Retriever(store, store.embeddings, Config()), None, Config(strictness=0))
    answer = answerer.ask("Which cartrige fits the prnter?", k=1)
    assert answer.question == "Which cartridge fits the printer?"
