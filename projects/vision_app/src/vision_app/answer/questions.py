"""What a question asks for: its kind, the words that an answer must be about, the type of value.

    question = parse("What is the invoice number?")
    question.kind, question.terms, question.type     # "value", ("invoice",), "code"

Rules, no model: English only. Answering is left to `ask.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STOP = frozenset(
    "a an and any are as at be been being by can could did do does for from get give given "
    "had has have he her here him his how i if in into is it its list many me mentioned much "
    "my name of on or our out please said say says see seen she show shown shows so stand "
    "stated tell that the their them there they this those to used was we were what whats "
    "when where which who whom whose why will with written would you your image picture photo "
    "photograph page document scan".split()
)
# Words for a type of value, which labels often leave out ("Total", for the total amount).
_TYPE_WORDS = {
    "date": "date dated day issue issued",
    "when": "date day time issue issued open opened opening close closed closing hours",
    "amount": "amount price cost costs sum value charge charged fee money",
    "code": "number no nr code id reference ref identifier",
    "email": "email e-mail mail address",
    "phone": "phone telephone tel number call",
    "url": "website url web site homepage address",
    "iban": "iban account number",
    "percent": "percent percentage rate",
    "time": "time hour hours open opened opening",
    "name": "name person company",
}
_GENERIC = frozenset("number no nr address account value day".split())
_TYPES = (  # the first that matches
    ("email", r"\be-?mail\b"),
    ("phone", r"\b(tele)?phone\b|\bcall\b|\bfax\b"),
    ("url", r"\bweb ?site\b|\burl\b|\bhomepage\b|\bweb address\b"),
    ("iban", r"\biban\b"),
    ("percent", r"\bpercent(age)?\b|\brate\b"),
    ("time", r"\bwhat time\b|\bopening (hours|times)\b"),
    ("date", r"\bdates?\b|\bwhat day\b|\bdeadline\b"),
    ("when", r"^when\b"),
    ("code", r"\b(number|no|nr|code|id|reference)\b"),
    ("amount", r"^how much\b|\b(total|amount|price|costs?|sum|balance|subtotal|vat|tax|fee)\b"),
    ("number", r"^how (many|old|tall|long|far|heavy)\b"),
    ("name", r"^(who|whose|whom)\b|\b(vendor|seller|supplier|company|customer|signed)\b"),
)
_MONTH = (
    r"(?i:jan|f[eé][bv]|m[aä]r|apr|avr|ma[iy]|jun|jui|jul|aug|ao[uû]|sep|o[ck]t|nov|d[eé][cz])"
    r"[a-zéûä]*\.?"
)
VALUES = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "phone": r"\+?\(?\d[\d ()/.-]{5,}\d",
    "url": r"(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|org|net|de|fr|eu|io|co\.uk)\b(?:/\S*)?",
    "iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "percent": r"\d+(?:[.,]\d+)? ?%",
    "time": r"\b\d{1,2}[:.h]\d{2}\b|\b\d{1,2} ?[ap]\.?m\b",
    "date": (
        r"\b\d{4}[./-]\d{2}[./-]\d{2}|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\b\d{1,2}[./-]\d{4}\b"
        rf"|\b\d{{1,2}}(?:st|nd|rd|th|\.)?,? ?(?:de )?{_MONTH},? ?(?:de )?\d{{4}}\b"
        rf"|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?[, ]+\d{{4}}\b"
    ),
    "amount": (
        r"(?:(?:[A-Z]{3}|[€$£¥]) ?)-?\d[\d.,' ]*(?<=\d)|-?\d[\d.,']*(?<=\d) ?(?:[€$£¥]|[A-Z]{3}\b)"
        r"|-?\d[\d.,']*[.,]\d{2}\b(?! ?%)"
    ),
    "number": r"\d[\d.,]*",
    "code": r"\S*\d\S*(?: \d\S*)*",
    "name": r"[A-ZÀ-Þ][\w&.'-]+.*",
}
"""Regular expressions of the values of each type."""
VALUES["when"] = f"{VALUES['date']}|{VALUES['time']}"
_KINDS = (  # the first that matches
    ("pages", r"^how many pages"),
    ("lines", r"^how many (text )?lines|^how many lines of text"),
    ("words", r"^how many words"),
    (
        "size",
        r"\bresolution\b|\b(size|dimensions|wide|high|tall|large|big)\b.*\b(image|picture|photo)"
        r"|\b(image|picture|photo)\b.*\b(size|dimensions)\b|\bhow many pixels\b",
    ),
    ("title", r"\b(title|heading|headline)\b"),
    (
        "text",
        r"^(read|transcribe)\b|\bwhat (text|words)\b|^what('s| is| was) written\b"
        r"|^what do(es)? (it|this|the \w+|this \w+) say$|^what is the text\b",
    ),
    (
        "has_text",
        r"^(is|are) there (any )?(text|writing|words)\b|contain (any )?(text|writing|words)$",
    ),
    (
        "content",
        r"^(describe|caption)\b|^what('s| is| are| do you see| can you see| can be seen)"
        r"( shown| visible)? ?(in|on) (it|this|the)( (image|picture|photo\w*))?$"
        r"|^what('s| is) (this|it|that)( (a|an))?( (image|picture|photo\w*))?( (of|about))?$"
        r"|^what do(es)? (it|this|the) ?(image|picture|photo\w*)? ?(show|depict)$"
        r"|^what (object|animal|thing|kind of (image|picture|document))\b.*$",
    ),
    ("mention", r"^(is|are|do|does)\b.*\b(mention|mentioned|contain|say|word|written|text)\b"),
    (
        "presence",
        r"^(is|are) (there|this|it|that|these|those)\b|^do(es)? (it|this|the \w+) (show|have)"
        r"|^(do|can) you see\b|^(is|are) (a|an|any) .* (visible|shown)$",
    ),
)


@dataclass(frozen=True)
class Question:
    """`terms` are the words that a label must match; `type` names a regular expression of VALUES.

    `type_words` are words for the type, one of which a label has to contain where there are no
    terms, and `quoted` is a text in quotation marks.
    """

    text: str
    kind: str
    type: str = ""
    terms: tuple[str, ...] = ()
    type_words: tuple[str, ...] = ()
    quoted: str = ""


def parse(text: str) -> Question:
    """Analyse a question.

    >>> parse("Is there a dog in the picture?").kind
    'presence'
    """
    quoted = re.search(r"[\"“”'‘’«»](.{2,}?)[\"“”'‘’«»](?=\W|$)", text)
    plain = " ".join(re.sub(r"[?!.]+(?=\s|$)", " ", text.lower().replace("’", "'")).split())
    plain = re.sub(r"^(please|can you|could you|tell me),? (?!see)", "", plain)
    kind = next((name for name, pattern in _KINDS if re.search(pattern, plain)), "value")
    value_type = next((name for name, pattern in _TYPES if re.search(pattern, plain)), "")
    hints = set(_TYPE_WORDS.get(value_type, "").split())
    words = [word.strip("-'") for word in re.findall(r"[^\W_][\w'&-]*", plain)]
    content = [word.removesuffix("'s") for word in words if word not in STOP and word]
    return Question(
        text=plain,
        kind=kind,
        type=value_type,
        terms=tuple(word for word in content if word not in hints),
        type_words=tuple(sorted(hints - _GENERIC)),
        quoted=quoted[1] if quoted else "",
    )
