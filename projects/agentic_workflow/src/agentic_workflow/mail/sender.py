"""Finds who wrote a mail, and whether the trusted mail server has verified it.

    find_sender(message, headers, "mx.shop.example")     # name, address, verified

A sender is verified by the topmost `Authentication-Results` header (RFC 8601) of the configured
server, which must remove or rename such headers of other servers. From alone proves nothing.
"""

import re
from email.message import EmailMessage
from typing import NamedTuple

from agentic_workflow.mail.masking import mask

_ADDRESS = re.compile(r"[^\s<>\"@,;:()]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*")
# Quoted strings, and comments with comments in them. Both may contain what the sender wrote.
_FREE_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\)')
_RESULT = re.compile(r"\s*([\w-]+)\s*=\s*(\w+)\b(.*)", re.DOTALL)


class Sender(NamedTuple):
    """The person to reply to; `doubt` is why it is not clear who that is."""

    name: str
    address: str  # in lower case; empty if there is none
    verified: bool = False
    doubt: str = ""


def find_sender(message: EmailMessage, headers: dict[str, str], authserv_id: str) -> Sender:
    """The sender in From; of `name <address>`, the address in brackets, as mail servers read it.

    `authserv_id` is the server whose results count; empty: none.
    """
    sender = _read(headers.get("from", ""))
    froms = [name.lower() for name in message.keys()].count("from")  # noqa: SIM118 - no mapping
    if froms > 1:
        return sender._replace(doubt="several From headers")
    domain = sender.address.rpartition("@")[2]
    verified = not sender.doubt and _verifies(message, domain, authserv_id)
    other = _read(headers.get("reply-to", "")).address
    doubt = f"Reply-To names {other}" if other not in ("", sender.address) else sender.doubt
    return sender._replace(verified=verified, doubt=doubt)


def _read(raw: str) -> Sender:
    bare = _FREE_TEXT.sub(" ", raw)
    addresses = _ADDRESS.findall(bare)
    bracketed = re.findall(rf"<\s*({_ADDRESS.pattern})\s*>", bare)
    address = (bracketed or addresses or [""])[0].lower()
    name = raw.partition("<")[0] if "<" in raw else ""
    name = re.sub(r'^[\s"]+|[\s"]+$', "", name.replace('\\"', '"'))
    doubt = "From contains several addresses" if len(addresses) > 1 else ""
    return Sender(name, address if mask(address) == address else "", doubt=doubt)


def _verifies(message: EmailMessage, domain: str, authserv_id: str) -> bool:
    for name, value in message.raw_items():
        if name.lower() == "authentication-results" and domain and authserv_id:
            text = _FREE_TEXT.sub(" ", str(value)[:4000])
            server, *results = text.split(";")
            if server.split()[:1] == [authserv_id]:
                # A quote or comment that remains is malformed, and may come from the sender.
                return not re.search(r'["()]', text) and _passes(results, domain)
    return False


def _passes(results: list[str], domain: str) -> bool:
    """Whether DMARC passes for the domain, or, without a DMARC result, its DKIM signature."""
    verdicts: dict[str, list[tuple[str, str]]] = {"dmarc": [], "dkim": []}
    for match in map(_RESULT.fullmatch, results):
        if match and match[1].lower() in verdicts:
            properties = dict(re.findall(r"([\w.]+)\s*=\s*([^\s\"()]+)", match[3].lower()))
            owner = properties.get("header.from") or properties.get("header.d", "")
            verdicts[match[1].lower()].append((match[2].lower(), owner))
    if verdicts["dmarc"]:
        return verdicts["dmarc"] == [("pass", domain)]
    return ("pass", domain) in verdicts["dkim"]
