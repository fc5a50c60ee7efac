"""Token ids to text as they come: whole characters only, and never a part of a stop string.

It knows a vocabulary as bytes; which tokens come, and when, is the engine's business.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import Any

_SPACE = "▁".encode()  # SentencePiece's mark for a space


def token_bytes(tokenizer: Any) -> list[bytes]:
    """What each token id of an `openvino_genai.Tokenizer` adds to the text, as bytes.

    Special tokens add nothing. A SentencePiece vocabulary is recognised by its `<0x0A>` tokens.
    """
    vocabulary: dict[bytes, int] = tokenizer.get_vocab()
    table = [b""] * (max(vocabulary.values()) + 1)
    sentencepiece = b"<0x0A>" in vocabulary
    for token, number in vocabulary.items():
        if token[:1] in (b"<", b"[") and token[-1:] in (b">", b"]"):
            if sentencepiece and token.startswith(b"<0x") and len(token) == 6:
                table[number] = bytes([int(token[3:5], 16)])
                continue
            if not tokenizer.decode([number]):
                continue
        table[number] = token.replace(_SPACE, b" ") if sentencepiece else token
    return table


def special_tokens(tokenizer: Any, table: Sequence[bytes]) -> list[str]:
    """The names of the tokens that add nothing to a text, such as `<|im_end|>`."""
    vocabulary: dict[bytes, int] = tokenizer.get_vocab()
    names = (token.decode("utf-8", "ignore") for token, n in vocabulary.items() if not table[n])
    return sorted(name for name in names if name)


class Detokenizer:
    """`push` ids, get the text that is safe to show; `flush` at the end for what was held back.

    A character is held back until its last byte is there, and an end of the text that may become
    a stop string until it is clear that it does not. After a stop string `stopped` is set and
    nothing comes any more; the stop string itself never comes.
    """

    def __init__(self, table: Sequence[bytes], stop: Iterable[str] = ()) -> None:
        self._table = table
        self._stop = [text for text in stop if text]
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._held = ""
        self.stopped = False

    def push(self, ids: Sequence[int]) -> str:
        if self.stopped:
            return ""
        table = self._table
        text = self._decoder.decode(b"".join([table[i] for i in ids if i < len(table)]))
        return self._release(text) if self._stop else text

    def flush(self) -> str:
        """The rest; an incomplete character at the end is dropped."""
        text, self._held = self._held, ""
        return "" if self.stopped else text

    def _release(self, text: str) -> str:
        text = self._held + text
        ends = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return text[: min(ends)]
        keep = max(_overlap(text, stop) for stop in self._stop)
        cut = len(text) - keep
        self._held = text[cut:]
        return text[:cut]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
