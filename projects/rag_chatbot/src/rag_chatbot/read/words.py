"""The words of a text as comparable terms, and the kind of answer that a question asks for.

terms("How do I set max_retries?")     # ["set", "max", "retri"]
asked("How many are there?")           # frozenset({"number"})
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

# Function words. Full-text search leaves them out of a query, where they cost time and say little.
STOP_WORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "again",
        "against",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "below",
        "between",
        "both",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "down",
        "during",
        "each",
        "few",
        "for",
        "from",
        "further",
        "get",
        "had",
        "has",
        "have",
        "having",
        "he",
        "her",
        "here",
        "hers",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "me",
        "more",
        "most",
        "my",
        "no",
        "nor",
        "not",
        "now",
        "of",
        "off",
        "on",
        "once",
        "one",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "own",
        "same",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "upon",
        "us",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "whom",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
# Words of questions and instructions that say nothing about the subject: no terms either.
_QUESTION_WORDS = frozenset(
    [
        "cannot",
        "don",
        "done",
        "else",
        "even",
        "ever",
        "every",
        "gets",
        "give",
        "given",
        "go",
        "goes",
        "got",
        "happen",
        "happens",
        "however",
        "let",
        "like",
        "ll",
        "make",
        "makes",
        "many",
        "may",
        "mean",
        "means",
        "might",
        "much",
        "must",
        "need",
        "needs",
        "per",
        "please",
        "possible",
        "re",
        "s",
        "since",
        "t",
        "take",
        "takes",
        "tell",
        "thing",
        "things",
        "though",
        "use",
        "used",
        "uses",
        "using",
        "ve",
        "via",
        "want",
        "way",
        "well",
        "whether",
        "whose",
        "within",
        "without",
        "work",
        "works",
        "yours",
    ]
)
_NO_TERMS = STOP_WORDS | _QUESTION_WORDS
_WORD = re.compile(r"[A-Za-zÀ-ÿ0-9]+(?:['’][a-z]+)?|[^\x00-\x7f]")
# Suffix → what replaces it, tried in this order. Cruder than Porter's, and enough to compare words.
_SUFFIXES = {
    **{"ational": "ate", "ization": "ize", "isation": "ize", "fulness": "ful", "iveness": "ive"},
    **{"ations": "ate", "ation": "ate"},
    **dict.fromkeys(
        [
            "ement",
            "ments",
            "ment",
            "ities",
            "ity",
            "ness",
            "ably",
            "able",
            "ible",
            "ings",
            "ing",
            "ions",
            "ion",
        ],
        "",
    ),
    **dict.fromkeys("ers er ors or".split(), ""),
    **{"ies": "y", "ied": "y"},
    **dict.fromkeys("edly ed es ly s e".split(), ""),
}


def stem(word: str) -> str:
    """Remove one suffix where three letters remain, and halve a doubled consonant at the end."""
    if len(word) <= 3 or not word.isalpha():
        return word
    for suffix, replacement in _SUFFIXES.items():
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: len(word) - len(suffix)] + replacement
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] in "ey" else word


def terms(text: str) -> list[str]:
    """Stems of the words that carry meaning; `max_size`, `maxSize` and `max-size` give two each."""
    separated = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ")
    words = (w.lower() for w in _WORD.findall(separated))
    return [stem(w.split("'")[0].split("’")[0]) for w in words if w not in _NO_TERMS]


def idf(bags: Sequence[Iterable[str]]) -> dict[str, float]:
    """Inverse document frequency of each term: log((n + 1) / (df + ½)), at least 0.1."""
    df = Counter(term for bag in bags for term in set(bag))
    return {t: max(0.1, math.log((len(bags) + 1) / (n + 0.5))) for t, n in df.items()}


def overlap(weights: Mapping[str, float], terms: Iterable[str]) -> float:
    """The share of the total of `weights` (term → weight) whose term is in `terms`, 0 to 1."""
    present = set(terms)
    total = sum(weights.values())
    return sum(w for term, w in weights.items() if term in present) / total if total else 0.0


# How a question asks for each kind of answer, and how an answer of that kind looks.
_ASKS = {
    "number": r"\bhow (?:many|much|long|often|large|big|old|fast|far|deep|high)\b|\bversion\b"
    r"|\bdefault (?:value|size|port|timeout|limit|number)|\bwhich (?:port|release)|\bwhat (?:port"
    r"|is the (?:default|maximum|minimum|limit|size|number))|\bnumber of\b|\b(?:maxi|mini)mum\b",
    "code": r"\b(?:command|flag|option|switch|setting|parameter|argument|variable|function|method"
    r"|class|keyword|attribute|field|header|directive|key|file|folder|directory|path|endpoint"
    r"|syntax|module|decorator|hook|api)s?\b|\bhow (?:do|can|should|would|to)\b|\bname of\b"
    r"|\bcalled\b",
    "reason": r"\bwhy\b|\breason\b|\bwhat happens\b|\bpurpose\b|\bcauses?\b",
    "place": r"\bwhere\b|\bwhich (?:file|folder|directory|path)\b",
    "yes": r"^(?:is|are|does|do|can|could|will|should|may|must|has|have)\b",
    "define": r"^what(?: is| are|'s| does)\b",
}
_SHOWS = {
    "number": r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twice|zero|unlimited)\b",
    "code": r"`[^`]+`|(?<!\w)--?[a-z][\w-]+|\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b|\b\w+\(\)?|^\s*\$ "
    r"|\b[a-z]+_[a-z_]+\b|\b[a-z]+[A-Z]\w+\b",
    "reason": r"\b(?:because|since|so that|therefore|in order to|due to|otherwise|avoid|prevent"
    r"|ensure|allows?|means|this is|reason|cause[sd]?)\b",
    "place": r"[~.\w-]*/[\w./-]+|\b(?:directory|folder|file|located|stored|found)\b"
    r"|\b\w+\.(?:ya?ml|toml|json|ini|cfg|conf|py|md|txt|sh|env|log)\b",
    "yes": r"\b(?:not|no|only|can|cannot|does|must|supports?|supported|available|allowed|possible"
    r"|yes|by default|required|optional|never|always)\b",
    "define": r"\b(?:is|are) (?:an?|the)\b|\brefers? to\b|\bmeans\b|\bcalled\b|\bdefines?\b",
}
KINDS = tuple(_ASKS)
_ASK_PATTERNS = {k: re.compile(p, re.IGNORECASE) for k, p in _ASKS.items()}
_SHOW_PATTERNS = {k: re.compile(p, re.MULTILINE) for k, p in _SHOWS.items()}


def asked(question: str) -> frozenset[str]:
    """The kinds of answer that the wording of a question asks for, of KINDS."""
    return frozenset(k for k, pattern in _ASK_PATTERNS.items() if pattern.search(question.strip()))


def shown(text: str) -> frozenset[str]:
    """The kinds of answer that a text contains, of KINDS."""
    return frozenset(k for k, pattern in _SHOW_PATTERNS.items() if pattern.search(text))
