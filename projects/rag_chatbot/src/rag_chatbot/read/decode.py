"""Turn the bytes of a text file into clean text: encoding, newlines, control characters.

    >>> decode("one\\r\\ntwo".encode("utf-16"))
    'one\\ntwo'

Text that is not UTF-8 is recognised by `charset_normalizer`: by its byte-order mark, by what a page
of HTML declares about itself, or by its letters.
"""

from __future__ import annotations

import re

from seedbed.errors import BadInput

# What PDFs, terminals and broken converters leave in text. Tab and newline stay.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
NEWLINES = re.compile(r"\r\n?|[\x0c\u2028\u2029]")
# Not allowed in names: what moves a terminal's cursor or the text around it, and lone surrogates.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
WESTERN = ("cp125", "iso8859", "latin", "mac_")
SAMPLE_BYTES = 65_536  # enough to recognise the encoding of a file of any size


def decode(data: bytes) -> str:
    """Decode a text file and clean it, see `clean`. Raises BadInput if it is not text at all."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _decode_unknown(data)
    if text.count("\0") > len(text) // 100:
        raise BadInput("The file is binary, not text.")
    return clean(text)


def clean(text: str) -> str:
    """Newlines become `\\n`, control characters a space; lone surrogates become `?`."""
    text = CONTROL.sub(" ", NEWLINES.sub("\n", text)).replace("\ufeff", "")
    return text.encode("utf-8", "replace").decode("utf-8")


def one_line(text: str) -> str:
    """Clean text in one line, with single spaces."""
    return " ".join(clean(text).split())


def clean_name(name: str) -> str:
    """A file name that is safe to store and to print: other characters become U+FFFD.

    >>> clean_name("a\\x1b[31m.md") == "a\\ufffd[31m.md"
    True
    """
    return UNSAFE.sub("\ufffd", name)


def _decode_unknown(data: bytes) -> str:
    """Decode bytes that are not UTF-8."""
    from charset_normalizer import from_bytes

    matches = from_bytes(data[:SAMPLE_BYTES])
    best = matches.best()
    if best is None:
        raise BadInput("The encoding could not be recognised. Save the file as UTF-8.")
    # Western encodings differ in a few letters. Prefer the common one if it fits equally well.
    western = [m for m in matches if m.encoding in ("cp1252", "latin_1") and m.chaos <= best.chaos]
    encoding = "cp1252" if western and best.encoding.startswith(WESTERN) else best.encoding
    return data.decode(encoding, errors="replace")
