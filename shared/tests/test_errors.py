"""The tree of errors: HTTP statuses, type names, texts and install commands."""

import logging

import pytest

from seedbed import errors


def tree(cls: type[errors.SeedbedError]) -> list[type[errors.SeedbedError]]:
    return [cls, *(error for child in cls.__subclasses__() for error in tree(child))]


# Each once, although some have two bases.
ERRORS = [c for c in dict.fromkeys(tree(errors.SeedbedError)) if c.__module__ == "seedbed.errors"]


def test_type_is_distinct_and_snake_case():
    names = {cls("x").type if cls is not errors.MissingExtra else "missing_extra" for cls in ERRORS}
    assert len(names) == len(ERRORS)
    assert errors.ContextWindowError("x").type == "context_window_error"


def test_missing_extra_contains_the_install_command():
    with pytest.raises(errors.Unavailable, match=r"pip install -e '/.*/shared\[serve\]'"):
        raise errors.MissingExtra("fastapi", "serve")


def test_missing_extra_reads_the_package_from_langchains_error():
    vendor = ImportError("Initializing ChatGroq requires … `pip install langchain-groq`")
    assert str(errors.MissingExtra.named_in(vendor)).endswith("pip install langchain-groq")
    ours = ImportError("Please install it with `pip install langchain-openai`")
    assert "/shared[remote]" in str(errors.MissingExtra.named_in(ours))
    assert "'numpy' is not installed." in str(
        errors.MissingExtra.named_in(ImportError("No module named 'numpy'", name="numpy"))
    )


def test_public_message_hides_unexpected_errors_and_logs_them(caplog):
    log = logging.getLogger("test.errors")
    assert errors.public_message(errors.NotFound("No run 'a'."), log) == "No run 'a'."
    assert not caplog.records
    assert "secret" not in errors.public_message(ValueError("a secret"), log)
    assert "ValueError: a secret" in caplog.text
