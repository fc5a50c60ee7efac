"""Parses a mail: headers, new text, quoted thread, list of attachments. Everything is masked.

    mail = parse_mail(Path("1.eml").read_bytes())
    mail.subject, mail.text, mail.warnings

A broken mail never raises: each header and each part is read on its own, and what failed is in
`warnings`. Of HTML, text that a reader does not see is kept apart; contents of attachments are not
read. What the mail wants is up to the triage.
"""

import hashlib
import re
from datetime import UTC
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as policy
from functools import cache
from itertools import islice
from typing import Any, get_args

from agentic_workflow.case import Language, Mail
from agentic_workflow.mail.html import read_html
from agentic_workflow.mail.masking import mask
from agentic_workflow.mail.phrases import PHRASES, pattern
from agentic_workflow.mail.reply import split_reply
from agentic_workflow.mail.screen import find_injection
from agentic_workflow.mail.sender import find_sender
from seedbed.errors import TooLarge

MAX_BYTES = 25 * 1024**2
_MAX_TEXT = 50_000  # characters of the body that are read, 8,000 words
_MAX_HEADER = 4_000  # characters; the parser of the standard library takes quadratic time
_MAX_PARTS = 500
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\u00ad\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    r"\U000e0000-\U000e007f]|(?<=\w)\u200d(?=\w)"
)
_BASE64 = re.compile(rb"(?m)^(?:[A-Za-z0-9+/=]{20,200}\r?\n)++")  # linear: every line is tried once
_MAX_BASE64 = 2_000_000  # bytes of such lines that are kept, for pictures within HTML
_MAX_LINES = 200_000
_MAX_BYTES_OF_TEXT = 1_000_000  # of one part
_DATA_URL = re.compile(rb"data:[\w/+.;=-]{1,100},[A-Za-z0-9+/=%\s]{200,}")
_Headers = dict[str, str]  # by name in lower case; of equal names the first


def parse_mail(data: bytes, authserv_id: str = "") -> Mail:
    """The mail in `data` (RFC 5322). Raises TooLarge above 25 MB, and nothing for a broken mail.

    `authserv_id` is the mail server whose `Authentication-Results` verify the sender, if any.

    >>> parse_mail(b"From: Bob <BOB@x.org>\\nSubject: Order 10234\\n\\nWhere is it?").sender
    'bob@x.org'
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"The mail has {len(data):,} bytes; the limit is {MAX_BYTES:,}.")
    warnings: list[str] = []
    # 1. Read headers and parts as far as possible.
    message = _read(data, warnings)
    headers = _read_headers(message, warnings)
    body, hidden, names, contents = _read_parts(message, warnings)
    sender = find_sender(message, headers, authserv_id)
    warnings += [sender.doubt] if sender.doubt else []
    spam = headers.get("x-spam-flag", "").strip().lower() == "yes"
    warnings += ["marked as spam by the mail server"] if spam else []
    # 2. Take out what is invisible, and mask.
    name = str(_parse({"subject": sender.name}, "subject"))  # with words encoded by RFC 2047
    texts = [str(_parse(headers, "subject")), name, *names, hidden, body]
    subject, name, *names, hidden, body = _clean(texts, warnings)
    if hidden:
        warnings.append(f"hidden text: {hidden[:1000]}")
    # 3. Separate the new text from the thread.
    text, quoted = split_reply(body)
    parents = _ids(headers, "in-reply-to") + _ids(headers, "references")[::-1]
    # "Yes, please" in another thread, or with another photo, is another mail.
    identity = (sender.address, subject, text, quoted, " ".join(parents[:1]), *names, contents)
    digest = _digest(*identity)
    sample = text if len(text) > 40 else f"{subject}\n{text}\n{quoted[:500]}"
    spoken = spoken_language(sample)
    own_id = f"{_digest(digest, headers.get('date', ''))[:32]}@no-message-id"
    date = getattr(_parse(headers, "date"), "datetime", None)
    mail = Mail(
        message_id=next(iter(_ids(headers, "message-id")), own_id),
        content_hash=digest,
        sender=sender.address,
        verified=sender.verified,
        sender_name=name,
        subject=subject,
        text=text,
        quoted=quoted,
        language=next((code for code in get_args(Language) if code == spoken), "en"),
        spoken=spoken,
        sent_at=date if date is None or date.tzinfo else date.replace(tzinfo=UTC),
        in_reply_to=tuple(dict.fromkeys(parents))[:20],
        attachments=tuple(names),
        automatic=bool(_matches("automatic", headers)),
        looks_automatic=_matches(
            "looks automatic", {**headers, "from": sender.address, "subject": subject}
        ),
        warnings=tuple(dict.fromkeys(warnings)),
        spam=spam,
    )
    # 4. Look for instructions to a model, in all of it.
    return mail.model_copy(update={"injection": find_injection(mail)})


def _clean(texts: list[str], warnings: list[str]) -> list[str]:
    """The texts, masked. The last is the body; the others become one line each."""
    body = texts[-1]
    # Invisible characters hide instructions and split numbers. Models can read Unicode tags.
    texts[-2] += "".join(chr(ord(c) - 0xE0000) for c in body if "\U000e0020" <= c <= "\U000e007e")
    if len(_INVISIBLE.findall(body.replace("\r\n", "\n"))) > 2:
        warnings.append("invisible characters")
    lines = [_INVISIBLE.sub("", re.sub("\r\n?", "\n", text)) for text in texts]
    texts = [*(" ".join(text.split()) for text in lines[:-1]), lines[-1][:_MAX_TEXT]]
    # Masked together: "passport" may be in the subject and the number in the body.
    masked = [text.strip("\n") for text in mask("\n\0\n".join(texts)).split("\0")]
    if len(lines[-1]) > _MAX_TEXT:
        warnings.append("text cut")
        masked[-1] = masked[-1][:-80]  # may be the start of a number, which no pattern recognizes
    return masked


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(" ".join(part.split()) for part in parts).encode()).hexdigest()


def _bound(data: bytes, warnings: list[str]) -> bytes:
    """The mail without what is slow to parse: time and memory must stay linear in its size."""
    # 1. Of attachments, only the name is read: cut them before the parser makes copies.
    data = _BASE64.sub(lambda m: m[0][: m[0].find(b"\n", _MAX_BASE64) + 1] or m[0], data)
    # 2. A thousand parts, or a million of lines, are an attack.
    *lines, rest = data.split(b"\n", _MAX_LINES)
    if len(lines) == _MAX_LINES:
        data = data[: -len(rest) or None]
        warnings.append("text cut")
    boundaries = re.finditer(rb"\n--", data)
    if last := next(islice(boundaries, 2 * _MAX_PARTS, None), None):
        data = data[: last.start()]
        warnings.append("parts cut")
    return data


def _read(data: bytes, warnings: list[str]) -> EmailMessage:
    try:
        data = _bound(data, warnings)
        message: EmailMessage = message_from_bytes(data, policy=policy)
    except Exception as error:  # whatever the library's parser raises
        warnings.append(f"malformed: {type(error).__name__}")
        message = EmailMessage()
        message.set_payload(data[:_MAX_TEXT].decode("ascii", "surrogateescape"))
    return message


def _read_headers(message: EmailMessage, warnings: list[str]) -> _Headers:
    headers: _Headers = {}
    for name, value in message.raw_items():
        raw = str(value)[:_MAX_HEADER].encode("utf-8", "surrogateescape")
        headers.setdefault(name.lower(), re.sub(r"[\r\n\0]+", " ", _decode(raw, None, warnings)))
    return headers


def _parse(headers: _Headers, name: str) -> Any:
    try:
        return policy.header_factory(name, headers.get(name, ""))
    except Exception:  # a mail is not lost to a bug of the library's parser
        return headers.get(name, "")


def _ids(headers: _Headers, name: str) -> list[str]:
    raw = headers.get(name, "")
    ids = re.findall(r"<\s*([^<>\s]{1,400})\s*>", raw) or raw.split()[:1]
    # An id that looks like a card number becomes another one, always the same.
    return [x if mask(x) == x else f"{_digest(x)[:32]}@masked" for x in dict.fromkeys(ids)]


def _matches(table: str, headers: _Headers) -> tuple[str, ...]:
    names = sorted(headers.keys() & PHRASES[table].keys())
    return tuple(name for name in names if pattern(table, name).match(headers[name]))


def _read_parts(message: EmailMessage, warnings: list[str]) -> tuple[str, str, list[str], str]:
    """(text, hidden text, names of attachments, digest of their contents)."""
    plain, visible, hidden, names, contents = "", "", "", list[str](), hashlib.sha256()
    for number, part in enumerate(message.walk()):
        try:
            name = part.get_filename()
            if number >= _MAX_PARTS or len(plain) + len(visible) > _MAX_TEXT:
                warnings.append("parts cut")
                break
            if name or part.get_content_disposition() == "attachment":
                raw = part.get_payload()
                contents.update((raw if isinstance(raw, str) else "").encode(errors="replace"))
                names.append(str(policy.header_factory("subject", (name or "attachment")[:300])))
            elif part.get_content_type() == "text/html":
                text, unseen = read_html(_read_text(part, warnings))
                visible, hidden = f"{visible}\n{text}", f"{hidden} {unseen}"
            elif part.get_content_type() == "text/calendar":
                names.append("invitation")
            elif not part.is_multipart() and part.get_content_maintype() in ("text", "multipart"):
                plain = f"{plain}\n{_read_text(part, warnings)}"
        except Exception as error:  # one broken part does not hide the others
            warnings.append(f"malformed: part {number}, {type(error).__name__}")
    text = (plain if plain.strip() else visible).strip("\r\n")
    return text, hidden, names, contents.hexdigest()


def _read_text(part: Any, warnings: list[str]) -> str:
    data = part.get_payload(decode=True) or b""
    size = len(data)
    warnings += [f"malformed: {type(defect).__name__}" for defect in part.defects[:3]]
    data = _DATA_URL.sub(b"", data)  # a picture within the HTML would push the text out
    cut = len(data) > _MAX_BYTES_OF_TEXT or size > 0.7 * _MAX_BASE64
    warnings += ["text cut"] if cut else []
    return _decode(data[:_MAX_BYTES_OF_TEXT], part.get_content_charset(), warnings)


def _decode(data: bytes, charset: str | None, warnings: list[str]) -> str:
    """UTF-8 if the bytes are valid, whatever the header claims; then its charset, then cp1252."""
    wide = charset and re.match(r"utf.?(?:16|32|7)|iso-2022|hz", charset, re.I)
    for codec in (charset, "utf-8") if wide else ("utf-8", charset):
        try:
            return data.decode(codec or "ascii")
        except (UnicodeError, LookupError):
            continue
    warnings.append("malformed: wrong charset")
    return data.decode("cp1252", "replace")


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def spoken_language(text: str) -> str:
    """The ISO 639 code of the most likely of 97 languages; empty without a word.

    On test mails, it missed the four languages of the desk only for some of up to five words.
    """
    if not re.search(r"[^\W\d_]{2}", text):
        return ""
    return str(_identifier().classify(text[:5000])[0])
