"""Sentences, words and plain text: what reading, search and answers all need of a text.

    >>> text = "Dr. Ray measured 1.5 s, e.g. on Linux. Is that fast?"
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Dr. Ray measured 1.5 s, e.g. on Linux.', 'Is that fast?']
    >>> terms("How do I set max_retries?")
    ['set', 'max', 'retr']
    >>> plain("See the [docs](https://example.com) **now**.")
    'See the docs now.'

Chunks are cut between sentences, quotes are made of them, and what a model writes is checked one
sentence at a time: all three agree on where a sentence ends. Sentences know English abbreviations
and CJK full stops, but no Markdown; lines of Markdown are in `markdown_lines`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

# Sentences

Span = tuple[int, int]  # start and end, in characters

# What may end a sentence: stops with their closing quotes and brackets, an empty line, or the
# start of a list item.
_END = re.compile(
    r"[.!?…]+[\"'”’»)\]*_`]*(?=\s)|[。！？]+[」』”]?|\n[ \t]*\n"
    r"|\n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t])"
)
# A full stop after one of these does not end a sentence: abbreviations, initials ("J. Smith",
# "U.S. Army"), and the number of a list item ("1. Install it").
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|Dr|Mr|Mrs|Ms|Prof|St|No|no|Nos|Fig|fig|Figs|Eq|Sec|Ch|Vol|pp|al|ca"
    r"|approx|incl|resp|Inc|Ltd|Co|Jr|Sr|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)"
    r"|(?:^|[\s(])(?:[A-Za-z]\.)*[A-Za-z]|^\s*\d{1,3})\.$"
)
_LOOK_BACK = 12  # characters before a full stop in which an abbreviation is looked for
_LOOK_AHEAD = 40  # characters after it, of which the first that is not a space matters


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the spans of the sentences in `text[start:end]`, without the space around them.

    Offsets count from the beginning of `text`. A list item or an empty line ends a sentence too.
    """
    stop = len(text) if end is None else end
    first = start
    for match in _END.finditer(text, start, stop):
        if not _continues(text, first, match, stop):
            yield from _trimmed(text, first, match.end())
            first = match.end()
    yield from _trimmed(text, first, stop)


def _continues(text: str, first: int, stops: re.Match[str], stop: int) -> bool:
    """Whether the sentence from `first` goes on after `stops`, up to `stop` at most."""
    if stops[0][0] not in ".!?…":
        return False
    following = text[stops.end() : min(stops.end() + _LOOK_AHEAD, stop)].lstrip()[:1]
    if following.islower() and stops[0][-1] not in "!?":
        return True  # also after a quoted question: "And on Windows?" finds nothing
    before = text[max(first, stops.end() - _LOOK_BACK) : stops.end()]
    return bool(_ABBREVIATION.search(before))


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without the white space at both ends; nothing if it is all white space."""
    part = text[start:end]
    left, right = start + len(part) - len(part.lstrip()), start + len(part.rstrip())
    if left < right:
        yield left, right


def stream_sentences(pieces: Iterable[str]) -> Iterator[str]:
    """Join pieces of text, as a model streams them, and yield each sentence once it is complete.

    A sentence is complete when the next one begins; a newline always ends one.
    """
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield from (line[start:end] for start, end in sentence_spans(line))
        *complete, (unfinished, _) = list(sentence_spans(rest)) or [(0, 0)]
        yield from (rest[start:end] for start, end in complete)
        rest = rest[unfinished:]
    yield from (rest[start:end] for start, end in sentence_spans(rest))


# Words

# Function words. Full-text search leaves them out of a query, where they cost time and say little.
STOP_WORDS = frozenset(
    """
    a about after again against all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further
    get had has have having he her here hers him his how i if in into is it its itself just me
    more most my no nor not now of off on once one only or other our out over own same she
    should so some such than that the their them then there these they this those through to too
    under until up upon us very was we were what when where which while who whom why will with
    would you your
    """.split()
)
# Words of questions and instructions that say nothing about the subject: no terms either.
_QUESTION_WORDS = frozenset(
    """
    cannot don done else even ever every gets give given go goes got happen happens however let
    like ll make makes many may mean means might much must need needs per please possible re s
    since t take takes tell thing things though use used uses using ve via want way well whether
    whose within without work works yours
    """.split()
)
_NO_TERMS = STOP_WORDS | _QUESTION_WORDS
_MEASURE = re.compile(
    r"\bhow\s+(?:many|much|long|often|large|big|old|fast|far|deep|high|tall|wide|soon|quickly"
    r"|frequently|early|late)\b",
    re.IGNORECASE,
)
# Names in code: in a question, and in a term of a definition list.
_NAME = re.compile(r"--?[A-Za-z][\w-]*|[A-Za-z_\\/.][\w./+\\-]*")
_NO_NAMES = (
    STOP_WORDS
    | _QUESTION_WORDS
    | frozenset("default option command setting name file value method function class type".split())
)
_ALTERNATIVES = re.compile(r",\s+|\s\|\s|(?<=\w)(?=--)")
_DEFINED = re.compile(
    r"(?:(?:class|exception|async|await|classmethod|staticmethod|abstractmethod)\s+)*"
    r"(--?[A-Za-z][\w-]*|[\w.\\/+-]+)(?:\s*[(\[<=].*)?"
)
_WORD = re.compile(r"[A-Za-zÀ-ÿ0-9]+(?:['’][a-z]+)?|[^\x00-\x7f]")
# Suffix → what replaces it, tried in this order. Cruder than Porter's, and enough to compare words.
_SUFFIXES = {
    **{"ational": "ate", "ization": "ize", "isation": "ize", "fulness": "ful", "iveness": "ive"},
    **{"ations": "ate", "ation": "ate"},
    **dict.fromkeys("ement ments ment ities ity ness ably able ible ings ing ions ion".split(), ""),
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


def subject_terms(question: str) -> list[str]:
    """The terms of a question without the measure in "how often", which answers do not repeat.

    >>> subject_terms("How often is the compost turned?")
    ['compost', 'turn']
    """
    without = _MEASURE.sub(" ", question)
    return terms(without) or terms(question)


def names_in(question: str) -> frozenset[str]:
    """The words of a question that may be names in code, in lower case.

    >>> sorted(names_in("what does git fetch --prune do"))
    ['--prune', 'fetch', 'git']
    """
    words = (word.rstrip(".").lower() for word in _NAME.findall(question))
    return frozenset(part for word in words for part in _with_last_part(word)) - _NO_NAMES


def code_names(question: str) -> list[str]:
    """The words of a question that can only be names in code: options, variables, attributes.

    >>> code_names("Does git log --graph read core.pager?")
    ['--graph', 'core.pager']
    """
    words = (word.rstrip(".").lower() for word in _NAME.findall(question))
    return [word for word in words if re.search(r"^--?\w|\w_\w|\w\w\.\w\w", word)]  # not "e.g"


def defined_names(term: str) -> frozenset[str]:
    """The names by which people ask for what a term of a definition list defines.

    >>> sorted(defined_names("-p, --prune"))
    ['--prune', '-p']
    >>> sorted(defined_names("class functools.partial(func, /, *args)"))
    ['functools.partial', 'partial']
    """
    names = re.sub(r"\(.*\)", "", term)  # without a signature
    matches = (_DEFINED.fullmatch(part.strip().strip("`")) for part in _ALTERNATIVES.split(names))
    return frozenset(name for m in matches if m for name in _with_last_part(m[1].lower()))


def _with_last_part(name: str) -> tuple[str, ...]:
    _, dot, last = name.rpartition(".")
    return (name, last) if dot and last else (name,)


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
    "number": r"\bhow (?:many|much|long|often|large|big|old|fast|far|deep|high)\b"
    r"|\b(?:which|what)\b.{0,40}\bversion\b"
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


# Plain text

SEPARATOR = " › "  # between the headings of a path
CELLS = " · "  # between the cells of a table's header, where that is a heading

# Formats with inline markup. In all others a sign is a sign: `__init__` and `<file>` are text.
MARKED_UP = frozenset({"markdown", "notebook", "rst", "asciidoc"})
# Formats without a text of their own: their parsers assemble one, with the tables, lists and fences
# of Markdown, and a line ends where the document means it to.
ASSEMBLED = frozenset({"html", "pdf", "docx"})

# What no pattern of markup may touch: fenced code, code spans, and signs after a backslash.
_LITERAL = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>(?s:.*?))(?:\n[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<ticks>`{1,2})(?!`)(?P<span>[^`\n](?:[^\n]{0,300}?[^`\n])??)(?P=ticks)(?!`)_{0,2}"
    r"|\\(?P<sign>[!-/:-@\[-`{-~])",
    re.MULTILINE,
)
_PLACEHOLDER = 0x100000  # plane 16, for private use: the n-th literal while markup is removed
_PLACEHOLDERS = re.compile("[\U00100000-\U0010fffd]")
# A role or link of reStructuredText: :ref:`the port <port>`, `the port <#port>`_.
_RST_LINK = re.compile(
    r":[a-z][a-z0-9:_+.-]{0,40}:`([^`<\n]{1,200}?)(?: ?<[^>\n]{0,300}>)?`"
    r"|`([^`<\n]{1,200}?) <[^>\n]{1,300}>`__?"
)
# Tags that people write in Markdown. Any other, like `<branch>`, is a placeholder and stays.
_TAG = (
    r"</?(?:a|abbr|b|blockquote|br|center|code|dd|del|details|div|dl|dt|em|figure|figcaption|font"
    r"|h[1-6]|hr|i|img|ins|kbd|li|mark|ol|p|picture|pre|s|samp|small|span|strong|sub|summary|sup"
    r"|table|tbody|td|th|thead|tr|tt|u|ul|var|video)(?:\s[^<>\n]{0,300})?/?>|<!--.{0,500}?-->"
)
# (text that must occur for the pattern to be tried, pattern of the markup, what replaces it)
_Markup = tuple[tuple[str, re.Pattern[str], str], ...]
_INLINE_MARKUP: _Markup = tuple(
    (needle, re.compile(pattern, re.MULTILINE), by)
    for needle, pattern, by in (
        ("](", r"!\[([^\]\n]{0,300})\]\([^)\n]{0,500}\)", r"\1"),  # images
        ("]", r"\[([^\]\n]{1,500})\](?:\([^)\n]{0,500}\)|\[[^\]\n]{0,100}\])", r"\1"),  # links
        ("<", r"<((?:https?|mailto):[^>\s]{1,500})>", r"\1"),
        ("<", _TAG, ""),
        ("#", r"^[ \t]{0,3}#{1,6}[ \t]+", ""),
        (">", r"^[ \t]*(?:>[ \t]?)+", ""),
        ("**", r"\*\*(?=\S)(.{1,400}?\S|\S)\*\*", r"\1"),
        # One lower-case word between double underscores is a name in code: `__init__`.
        ("__", r"(?<!\w)__(?![a-z0-9_]+__|\s)(.{1,400}?\S|\S)__(?!\w)", r"\1"),
        ("*", r"(?<![\w*])\*(?![\s*./])([^*\n]{0,400}[^\s*])\*(?![\w*])", r"\1"),
        ("_", r"(?<![\w_])_(?=[^\s_])([^_\n]{1,400})_(?![\w_])", r"\1"),
    )
)
_BLOCK_MARKUP: _Markup = tuple(
    (needle, re.compile(pattern, re.MULTILINE), by)
    for needle, pattern, by in (
        ("```", r"^[ \t]*`{3,}.*$", ""),  # half a fence, in a chunk that begins or ends in code
        ("~~~", r"^[ \t]*~{3,}.*$", ""),
        ("--", r"^[ \t]*[|+]?[-=:+| ]{3,}$", ""),  # rules and lines of tables
        ("==", r"^[ \t]*[|+]?[-=:+| ]{3,}$", ""),
        ("|", r"^[ \t]*\|[ \t]?|[ \t]*\|[ \t]*$", ""),
        ("\n\n\n", r"\n{3,}", "\n\n"),
    )
)


def plain(text: str, kind: str = "markdown") -> str:
    """Remove the markup of a document of this format, for reading and for embedding.

    >>> plain("See [the docs](https://example.com) **now**: `cp <source> <target>`.")
    'See the docs now: cp <source> <target>.'
    >>> plain("Define __init__(**options).", "html")
    'Define __init__(**options).'
    """
    if kind not in MARKED_UP | ASSEMBLED:
        return text.strip()

    # 1. Put a placeholder in the place of each literal, which keeps its text as it is.
    literals: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        if kind not in MARKED_UP and match["fence"] is None:
            return match[0]
        literals.append(match["code"] or match["span"] or match["sign"] or "")
        return chr(_PLACEHOLDER + len(literals) - 1)

    text = _PLACEHOLDERS.sub("", text)
    if kind in MARKED_UP and "`" in text:
        text = _RST_LINK.sub(lambda match: match[1] or match[2], text)
    if "`" in text or "~~~" in text or "\\" in text:
        text = _LITERAL.sub(placeholder, text)

    # 2. Remove the markup around them.
    for needle, pattern, by in (*(_INLINE_MARKUP if kind in MARKED_UP else ()), *_BLOCK_MARKUP):
        if needle in text:
            text = pattern.sub(by, text)

    # 3. Put them back.
    text = _PLACEHOLDERS.sub(lambda match: literals[ord(match[0]) - _PLACEHOLDER], text)
    return text.strip()


def context(title: str, heading: str) -> str:
    """Title and heading path in one line; the title is not repeated."""
    if not title or heading == title or heading.startswith(title + SEPARATOR):
        return heading
    return f"{title}{SEPARATOR}{heading}" if heading else title
