"""Parses a mail: headers, new text, quoted thread, attachment names. Everything is masked.

    mail = parse_mail(Path("mailbox/new/1.eml").read_bytes())
    mail.subject, mail.text, mail.warnings

A broken mail is parsed as far as possible and never raises: each header and each part is read on
its own, and what failed is in `warnings`. Contents of attachments are not read. What the mail wants
is up to `screen` and the triage.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
from functools import lru_cache
from typing import Any, cast

from agentic_workflow.mail.html import read_html
from agentic_workflow.mail.masking import mask
from agentic_workflow.mail.reply import split_reply
from agentic_workflow.store.case import Language, Mail
from seedbed.errors import TooLarge

MAX_BYTES = 25 * 1024**2
_MAX_TEXT = 200_000  # characters of the body that are read
_MAX_HEADER = 4_000  # the parser of Python's library takes quadratic time
_MAX_PARTS = 500
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\u00ad\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]|(?<=\w)\u200d(?=\w)"
)
_AUTOMATIC_SUBJECT = re.compile(
    r"\W*(?:auto(?:matic|mated)?[- ]?(?:reply|response)|out of (?:the )?office|automatische antwort"
    r"|abwesenheit|abwesend|réponse automatique|absence du bureau|message d'absence"
    r"|respuesta automática|fuera de la oficina|ausencia|undeliver|delivery (?:status|failure)"
    r"|mail delivery|returned mail|unzustellbar|non remis|no se puede entregar|failure notice)"
    r"|(?:(?:re|aw|antw|rv|tr)\s?:\s*){6}",
    re.I,
)
_ROBOT = re.compile(r"(?:mailer-daemon|postmaster|no-?_?reply|do-?not-?reply|bounces?)\b", re.I)
_BREAK = "\n\x00\n"  # between texts that are masked together; NUL is in none of them


def parse_mail(data: bytes) -> Mail:
    """The mail in `data` (RFC 5322). Raises TooLarge above 25 MB, and nothing for a broken mail.

    >>> parse_mail(b"From: Bob <BOB@x.org>\\nSubject: Order 10234\\n\\nWhere is it?").sender
    'bob@x.org'
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"The mail has {len(data):,} bytes; the limit is {MAX_BYTES:,}.")
    warnings: list[str] = []
    # 1. Headers and parts, as far as they can be read.
    message = _read(data, warnings)
    headers = Headers(message, warnings)
    body, hidden, names = _read_parts(message, warnings)
    subject, name = headers.text("Subject"), headers.sender[0]
    # 2. Take out invisible characters, which hide instructions and split numbers.
    raw = [subject, name, *names, hidden, body]
    clean = [_INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")) for text in raw]
    if sum(map(len, raw)) - sum(map(len, clean)) > raw[-1].count("\r") + 2:
        warnings.append("invisible characters")
    hidden = clean[-2] + _tags(body)
    # 3. Mask all texts together: the word "passport" may be in the subject, the number below.
    parts = [" ".join(text.split()) for text in (*clean[:-2], hidden)] + [clean[-1][:_MAX_TEXT]]
    subject, name, *names, hidden, body = mask(_BREAK.join(parts)).split(_BREAK)
    if len(clean[-1]) > _MAX_TEXT:
        warnings.append("text cut")
        body = body[:-80]  # may end within a number, which is not recognizable then
    if hidden.strip():
        warnings.append(f"hidden text: {hidden[:500]}")
    # 4. Separate the new text from the thread.
    text, quoted = split_reply(body)
    sender = headers.address
    digest = _digest(sender, subject, text)
    return Mail(
        message_id=headers.message_id
        or f"{_digest(digest, headers.text('Date'), quoted)[:32]}@no-message-id",
        content_hash=digest,
        sender=sender,
        sender_name=name,
        subject=subject,
        text=text,
        quoted=quoted,
        language=detect_language(text if len(text) > 40 else f"{subject}\n{text}\n{quoted[:500]}"),
        sent_at=headers.date,
        in_reply_to=headers.thread,
        attachments=tuple(names),
        automatic=headers.automatic,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(" ".join(part.split()) for part in parts).encode()).hexdigest()


def _tags(text: str) -> str:
    """The text in Unicode's invisible tag characters, which models read."""
    return "".join(chr(ord(c) - 0xE0000) for c in text if "\U000e0020" <= c <= "\U000e007e")


def _read(data: bytes, warnings: list[str]) -> EmailMessage:
    try:
        message = cast(EmailMessage, message_from_bytes(data, policy=default_policy))
        if message.get_content_maintype() != "multipart" or message.is_multipart():
            return message
        # The boundary in the header occurs nowhere: take the one that the body uses.
        warnings.append("malformed: wrong MIME boundary")
        boundary = re.search(rb"^--([^\r\n]{1,200}?)[ \t]*\r?\n(?=Content-)", data, re.M | re.I)
        if boundary:
            head = b'Content-Type: multipart/mixed; boundary="%s"\n\n' % boundary[1]
            inner = message_from_bytes(head + data[boundary.start() :], policy=default_policy)
            message.set_payload(inner.get_payload())
        return message
    except Exception as error:
        warnings.append(f"malformed: {type(error).__name__}")
        message = EmailMessage()
        message.set_payload(data[:_MAX_TEXT].decode("ascii", "surrogateescape"))
        return message


class Headers:
    """The headers of a message, each read on its own; a broken one is a warning."""

    def __init__(self, message: EmailMessage, warnings: list[str]) -> None:
        self._warnings = warnings
        self._raw: dict[str, str] = {}
        self._hops = 0
        for name, value in message.raw_items():
            self._hops += name.lower() == "received"
            value = str(value)[:_MAX_HEADER].encode("utf-8", "surrogateescape")
            self._raw.setdefault(name.lower(), _decode(value, None, warnings))
        self._report = message.get_content_type() == "multipart/report"

    def _parse(self, name: str) -> Any:
        try:
            value = re.sub(r"[\r\n\x00]+", " ", self._raw.get(name.lower(), ""))
            return default_policy.header_factory(name, value)
        except Exception:
            self._warnings.append(f"malformed: header {name}")
            return None

    def text(self, name: str) -> str:
        value = self._parse(name)
        return (self._raw.get(name.lower(), "") if value is None else str(value)).strip()

    @property
    def sender(self) -> tuple[str, str]:
        """(display name, address in lower case)."""
        addresses = getattr(self._parse("From"), "addresses", ())
        if addresses and addresses[0].domain:
            return addresses[0].display_name, addresses[0].addr_spec.lower()
        raw = self._raw.get("from", "")
        match = re.search(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", raw)
        return raw.partition("<")[0].strip(' "'), match.group().lower() if match else ""

    @property
    def address(self) -> str:
        address = self.sender[1]
        return address if mask(address) == address else ""

    @property
    def date(self) -> datetime | None:
        date = getattr(self._parse("Date"), "datetime", None)
        return date if date is None or date.tzinfo else date.replace(tzinfo=UTC)

    @property
    def message_id(self) -> str:
        return next(self._ids("message-id"), "")

    @property
    def thread(self) -> tuple[str, ...]:
        parents = [*self._ids("in-reply-to"), *reversed(list(self._ids("references")))]
        return tuple(dict.fromkeys(parents))[:20]

    def _ids(self, name: str) -> Iterator[str]:
        raw = self._raw.get(name, "")
        for number in re.findall(r"<\s*([^<>\s]{1,400})\s*>", raw) or raw.split()[:1]:
            # An id that looks like a card number becomes another one, always the same.
            yield number if mask(number) == number else f"{_digest(number)[:32]}@masked"

    @property
    def automatic(self) -> bool:
        """RFC 3834 and what programs send that do not follow it; more than 25 hops are a loop."""
        raw = self._raw
        return bool(
            raw.get("auto-submitted", "no").strip().lower().partition(";")[0] != "no"
            or re.match(r"\s*(?:bulk|list|junk|auto_?-?reply)", raw.get("precedence", ""), re.I)
            or raw.keys()
            & {"list-id", "list-unsubscribe", "x-autoreply", "x-autorespond", "x-auto-reply"}
            or raw.keys() & {"x-loop", "x-failed-recipients", "x-auto-response-suppress"}
            or raw.get("return-path", "x").strip() == "<>"
            or self._report
            or self._hops > 25
            or _ROBOT.match(self.sender[1])
            or _AUTOMATIC_SUBJECT.match(self.text("Subject"))
        )


def _read_parts(message: EmailMessage, warnings: list[str]) -> tuple[str, str, list[str]]:
    """(text, hidden text, names of attachments)."""
    plain, visible, hidden, names = "", "", "", list[str]()
    for number, part in enumerate(message.walk()):
        if number >= _MAX_PARTS:
            warnings.append("malformed: too many parts")
            break
        try:
            name = part.get_filename()
            if name or part.get_content_disposition() == "attachment":
                names.append(_decode_name(name or "attachment"))
            elif part.get_content_type() == "text/html" and len(visible) < _MAX_TEXT:
                shown, unseen = read_html(_text_of(part, warnings)[: 5 * _MAX_TEXT])
                visible, hidden = f"{visible}\n{shown}", f"{hidden} {unseen}"
            elif not part.is_multipart() and part.get_content_maintype() in ("text", "multipart"):
                if len(plain) < _MAX_TEXT:
                    plain = f"{plain}\n{_text_of(part, warnings)}"
        except Exception as error:
            warnings.append(f"malformed: part {number}, {type(error).__name__}")
    return (plain if plain.strip() else visible).strip(), hidden, names


def _decode_name(name: str) -> str:
    return str(default_policy.header_factory("Subject", re.sub(r"\s+", " ", name[:300])))


def _text_of(part: Any, warnings: list[str]) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    if part.defects:
        warnings.append(f"malformed: {type(part.defects[0]).__name__}")
    return _decode(data[: 20 * _MAX_TEXT], part.get_content_charset(), warnings)


def _decode(data: bytes, charset: str | None, warnings: list[str]) -> str:
    """UTF-8 where the bytes are valid, whatever the header claims; then its charset, then cp1252."""
    wide = charset and re.match(r"utf-?(?:16|32|7)|iso-2022|hz", charset, re.I)
    for codec in (charset, "utf-8") if wide else ("utf-8", charset):
        try:
            return data.decode(codec or "ascii")
        except (UnicodeError, LookupError):
            continue
    warnings.append("malformed: wrong charset")
    return data.decode("cp1252", "replace")


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(["en", "de", "fr", "es"])
    return identifier


def detect_language(text: str) -> Language:
    """English, German, French or Spanish, whichever is most likely; English without a letter."""
    if not re.search(r"[^\W\d_]{2}", text):
        return "en"
    return cast(Language, _identifier().classify(text[:5000])[0])
