"""Sentences, words and plain text, as needed by reading, search and answering alike.

    >>> text = "Dr. Ray measured 1.5 s, e.g. on Linux. Is that fast?"
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Dr. Ray measured 1.5 s, e.g. on Linux.', 'Is that fast?']
    >>> terms("How do I set max_retries?")
    ['set', 'max', 'retri']
    >>> plain("See the [docs](https://example.com) **now**.")
    'See the docs now.'

Chunks are cut between sentences, quotes are made of them, and what a model writes is checked one
sentence at a time: all three agree on where a sentence ends. English abbreviations, ordinal numbers
of other languages and CJK full stops are recognised; Markdown's blocks are left to `blocks`. Stems
and stop words are those of the question's language.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from functools import cache, lru_cache

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
# "am 31. März": where an ordinal number has a full stop.
_ORDINAL = re.compile(r"(?<![\d.,])\d{1,2}\.$")
_ORDINAL_LANGUAGES = ("da", "de", "et", "fi", "hu", "no", "pl", "tr")
_LOOK_BACK = 12  # characters before a full stop in which an abbreviation is looked for
_LOOK_AHEAD = 40  # characters after it, of which the first that is not a space matters


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Yield the spans of the sentences in `text[start:end]`, without the space around them.

    Offsets count from the beginning of `text`. A list item or an empty line ends a sentence too.
    """
    limit = len(text) if end is None else end
    first = start
    for match in _END.finditer(text, start, limit):
        if not _continues(text, first, match, limit):
            yield from _trimmed(text, first, match.end())
            first = match.end()
    yield from _trimmed(text, first, limit)


def _continues(text: str, first: int, match: re.Match[str], limit: int) -> bool:
    """Whether the sentence from `first` goes on after a match of _END; the text ends at `limit`."""
    if match[0][0] not in ".!?…":
        return False
    following = text[match.end() : min(match.end() + _LOOK_AHEAD, limit)].lstrip()[:1]
    if following.islower() and match[0][-1] not in "!?":
        return True  # also after a quoted question: "And on Windows?" finds nothing
    before = text[max(first, match.end() - _LOOK_BACK) : match.end()]
    if _ORDINAL.search(before) and language_of(text[first:limit][:500]) in _ORDINAL_LANGUAGES:
        return True
    return bool(_ABBREVIATION.search(before))


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without the white space at both ends; nothing if it is all white space."""
    part = text[start:end]
    left, right = start + len(part) - len(part.lstrip()), start + len(part.rstrip())
    if left < right:
        yield left, right


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
# A run of letters or digits, with what follows an apostrophe; CJK characters are runs of their own.
CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:['’][a-z]+)?")
_SCRIPTS = {"ja": "[\u3040-\u30ff]", "ko": "[\uac00-\ud7af]", "zh": "[\u3400-\u9fff]"}
# Languages with a stemmer of Snowball and stop words. The library's English list has 1,300 words,
# among them "member", "room" and "number": there our own is used.
STEMMERS = {
    **{"en": "english", "ca": "catalan", "da": "danish", "de": "german", "el": "greek"},
    **{"es": "spanish", "et": "estonian", "fi": "finnish", "fr": "french", "hu": "hungarian"},
    **{"id": "indonesian", "it": "italian", "nl": "dutch", "no": "norwegian", "pl": "polish"},
    **{"pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish"},
}
LEAST_STOP_WORDS = 0.08  # minimum share of stop words that identifies a text's language
_local = threading.local()  # stemmers are not thread-safe


def language_of(text: str, default: str = "en") -> str:
    """The code of a text's language, by its script and its stop words; `default` if unclear.

    >>> [language_of(text) for text in ("Wie viele Tage?", "Where is it?", "在哪里")]
    ['de', 'en', 'zh']
    """
    for language, script in _SCRIPTS.items():
        if re.search(script, text):
            return language
    words = re.findall(r"[^\W\d_]{2,}", text.lower()[:2000])
    # Data and code have few stop words, which may be of any language by chance.
    best, most = default, LEAST_STOP_WORDS * len(words)
    for language in STEMMERS:
        # A word that is a stop word in several languages counts less.
        points = sum(1 / _languages_with()[w] for w in words if w in stop_words(language))
        if points > most:
            best, most = language, points
    return best


@cache
def _languages_with() -> Counter[str]:
    """Stop word → number of languages that have it."""
    return Counter(word for language in STEMMERS for word in stop_words(language))


@cache
def stop_words(language: str) -> frozenset[str]:
    """The function words of a language; none where they are unknown."""
    import stopwordsiso

    return frozenset(stopwordsiso.stopwords(language))


@lru_cache(100_000)
def stem(word: str, language: str = "en") -> str:
    """The stem of a word in lower case."""
    if len(word) <= 3 or not word.isalpha() or language not in STEMMERS:
        return word
    import snowballstemmer

    if not hasattr(_local, language):
        setattr(_local, language, snowballstemmer.stemmer(STEMMERS[language]))
    return str(getattr(_local, language).stemWord(word))


def terms(text: str, language: str = "en") -> list[str]:
    """Stems of the words that carry meaning; `max_size`, `maxSize` and `max-size` give two each.

    Chinese, Japanese and Korean give pairs of characters.
    """
    separated = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    ignore = _NO_TERMS if language == "en" else stop_words(language)
    stems: list[str] = []
    for word in _WORD.findall(separated.lower()):
        if word[0] > "\u3000":
            stems += _character_pairs(word, language)
        elif (plain_word := re.split("['’]", word)[0]) not in ignore and word not in ignore:
            stems.append(stem(plain_word, language))
    return stems


def _character_pairs(text: str, language: str) -> list[str]:
    runs = re.split(_cjk_stop_words(language), text)
    return [run[n : n + 2] for run in runs for n in range(max(1, len(run) - 1)) if run]


@cache
def _cjk_stop_words(language: str) -> re.Pattern[str]:
    words = sorted((w for w in stop_words(language) if w > "\u3000"), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words)) or "(?!)")


def subject_terms(question: str, language: str = "en") -> list[str]:
    """The terms of a question without the measure in "how often", which answers do not repeat.

    >>> subject_terms("How often is the compost turned?")
    ['compost', 'turn']
    """
    subject = _MEASURE.sub(" ", question)
    return terms(subject, language) or terms(question, language)


# Plain text

SEPARATOR = " › "  # between the headings of a path
CELLS = " · "  # between the cells of a table's header, where that is a heading

# Formats with inline markup. In all others it is literal text: `__init__`, `<file>`.
MARKED_UP = frozenset({"markdown", "notebook"})
# Formats without a text of their own: their parsers assemble one, with the tables, lists and fences
# of Markdown, and a line ends where the document means it to.
ASSEMBLED = frozenset({"html", "pdf", "docx", "pptx", "email"})

# What no pattern of markup may touch: fenced code, code spans, and backslash escapes.
_LITERAL = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<code>(?s:.*?))(?:\n[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<ticks>`{1,2})(?!`)(?P<span>[^`\n](?:[^\n]{0,300}?[^`\n])??)(?P=ticks)(?!`)_{0,2}"
    r"|\\(?P<sign>[!-/:-@\[-`{-~])",
    re.MULTILINE,
)
_PLACEHOLDER = 0x100000  # plane 16, for private use: the n-th literal while markup is removed
_PLACEHOLDERS = re.compile("[\U00100000-\U0010fffd]")
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
        ("```", r"^[ \t]*`{3,}.*$", ""),  # a lone fence, in a chunk that begins or ends in code
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
