"""Typing errors in questions, repaired with the words of passages."""

from rag_chatbot.answer.spelling import repair

PASSAGES = ["The Atlas printer handles A3.", "The platform team exports data."]


class Vocabulary:
    """Counts one token for each word that it knows, as tokenizers do for frequent words."""

    words = frozenset({"import", "sprinter", "which"})

    def count_tokens(self, text: str) -> int:
        return 1 if text in self.words else 2


def test_repair_takes_the_word_of_a_passage_that_is_an_edit_away() -> None:
    assert repair("Which prnter?", PASSAGES, Vocabulary()) == "Which printer?"
    assert repair("the platfrom team", PASSAGES, Vocabulary()) == "the platform team"


def test_repair_leaves_known_and_distant_words_alone() -> None:
    for question in ("Which sprinter is it?", "How do I import it?", "Does the zeppelin print?"):
        assert repair(question, PASSAGES, Vocabulary()) == question


def test_repair_leaves_signs_without_spaces_alone() -> None:
    assert (
        repair("办公室的密码是什么？", ["办公室的密码是四八二一。"], Vocabulary())
        == "办公室的密码是什么？"
    )


def test_repair_needs_a_vocabulary() -> None:
    assert repair("Which prnter?", PASSAGES, object()) == "Which prnter?"
