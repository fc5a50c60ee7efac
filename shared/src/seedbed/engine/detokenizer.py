"""Turn token ids into text as they arrive: whole characters, and never a part of a stop string.

    detokenizer = Detokenizer(token_bytes(tokenizer), stop=["\\n\\n"])
    for ids in steps:
        print(detokenizer.push(ids), end="")
    print(detokenizer.flush())

OpenVINO's `TextStreamer` does the same for one blocking `generate` call; it cannot be attached to
the requests of a batching pipeline.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Any

_SPACE = "▁".encode()  # SentencePiece writes a space as U+2581


def token_bytes(tokenizer: Any) -> list[bytes]:
    """The UTF-8 bytes that each token id of an `openvino_genai.Tokenizer` adds to a text.

    The list is indexed by token id; special tokens add nothing. A SentencePiece vocabulary is
    recognized by its byte tokens, such as `<0x0A>`.
    """
    vocabulary: dict[bytes, int] = tokenizer.get_vocab()
    table = [b""] * (max(vocabulary.values()) + 1)
    sentencepiece = b"<0x0A>" in vocabulary
    for token, token_id in vocabulary.items():
        # In brackets: a byte token, a special token (which decodes to nothing), or plain text.
        if token[:1] in (b"<", b"[") and token[-1:] in (b">", b"]"):
            if sentencepiece and token.startswith(b"<0x") and len(token) == 6:
                table[token_id] = bytes([int(token[3:5], 16)])
                continue
            if not tokenizer.decode([token_id]):
                continue
        table[token_id] = token.replace(_SPACE, b" ") if sentencepiece else token
    return table


def special_tokens(tokenizer: Any, table: Sequence[bytes]) -> list[str]:
    """The names of the tokens that add nothing to a text, such as `<|im_end|>`, sorted."""
    tokens = (token for token, token_id in tokenizer.get_vocab().items() if not table[token_id])
    return sorted(filter(None, (token.decode("utf-8", "ignore") for token in tokens)))


class Detokenizer:
    """Decodes one answer incrementally.

    A character is withheld until its last byte has arrived, and the end of the text while it may be
    the beginning of a stop string. After a stop string `stopped` is true and all further text is
    dropped; the stop string itself is never returned.

    >>> detokenizer = Detokenizer([b"Gr", b"\\xc3", b"\\xbc", b"n", b"EN", b"D"], stop=["END"])
    >>> [detokenizer.push([token_id]) for token_id in range(6)]
    ['Gr', '', 'ü', 'n', '', '']
    >>> detokenizer.stopped
    True
    """

    def __init__(self, table: Sequence[bytes], stop: Iterable[str] = ()) -> None:
        self._table = table
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._withheld = ""
        self.stopped = False

    def push(self, ids: Sequence[int]) -> str:
        """The text that the next token ids make final; "" while everything is withheld."""
        if self.stopped:
            return ""
        table = self._table
        text = self._decoder.decode(b"".join([table[i] for i in ids if i < len(table)]))
        return self._before_stop(text) if self._stop else text

    def flush(self) -> str:
        """The withheld rest at the end of the answer; an incomplete character is dropped."""
        text, self._withheld = self._withheld, ""
        return "" if self.stopped else text

    def _before_stop(self, text: str) -> str:
        text = self._withheld + text
        positions = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if positions:
            self.stopped, self._withheld = True, ""
            return text[: min(positions)]
        cut = len(text) - max(_overlap(text, stop) for stop in self._stop)
        self._withheld = text[cut:]
        return text[:cut]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that is a beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
