"""`tools.wording`: each kind of text and name is read where it should be, and the tree is clean."""

import re
from pathlib import Path

import pytest

from tools import wording

ROOT = Path(__file__).parents[2]


def phrases(source: str, *, in_full: bool = True) -> list[str]:
    """The offending phrases of a module, without line and advice."""
    return [hit.split('"')[1] for _, hit in wording.check_source(source, in_full=in_full)]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("This is no report.", "is no report"),
        ("No model 'x'. There are: a, b.", "There are:"),
        ("The field holds a key.", "holds"),
        ("Tracebacks may hold keys.", "may hold"),
        ("A character that stands in a message.", "stands in"),
        ("The file bears its version.", "bears"),
        ("A crash takes one model along.", "takes one model along"),
        ("Beyond this machine keys are needed.", "Beyond this machine"),
        ("A socket that nobody listens on.", "nobody"),
        ("Text is escaped, whoever wrote it.", "whoever"),
        ("Who goes away stops the work.", "Who goes"),
        ("Lets in who may come in.", "in who may"),
        ("The caller says how far he is.", "he"),
        ("A client goes away before the end.", "client goes away"),
        ("The method says so.", "says"),
        ("It tells which are missing.", "tells"),
        ("The caller is told the port.", "is told"),
        ("It knows no route.", "knows"),
        ("Another probe, since none asks twice.", "none asks"),
        ("The index is read anew.", "anew"),
        ("A quote, word for word.", "word for word"),
        ("Chunks that were deleted meanwhile.", "meanwhile"),
        ("A client that reads nothing for so long is cut off.", "for so long"),
        ("Wait a little, as the answer describes.", "Wait a little"),
        ("From which likeness two texts count as one.", "likeness"),
        ("A fault that a restart mends.", "mends"),
    ],
)
def test_phrase_of_each_pattern_is_reported(text: str, phrase: str) -> None:
    assert phrase in phrases(f'"""{text}"""')


def test_every_pattern_has_an_example() -> None:
    (mark,) = test_phrase_of_each_pattern_is_reported.pytestmark
    texts = [text for text, _ in mark.args[1]]
    unmatched = [p.pattern for p in wording._PATTERNS if not any(map(p.search, texts))]
    assert unmatched == []


@pytest.mark.parametrize(
    "text",
    [
        "There is no collection with this name, and it is no longer than 80 characters.",
        "The writer holds the lock; a proxy holds back the tokens; the bound holds for small n.",
        "Words stand in for tokens in a file that stands alone.",
        "The person who runs commands. A caller who may read it.",
        "Who may read a collection?",
        "Meanwhile, the queue drains; in the meanwhile it is empty.",
        "A stand-in for the model; theme; history.",
    ],
)
def test_good_english_is_not_reported(text: str) -> None:
    assert phrases(f'"""{text}"""') == []


def test_phrase_across_lines_is_reported_once() -> None:
    assert phrases("x = 1\n# a quote, word\n# for word\n") == ["word for word"]
    assert phrases('x = ("a quote, word "\n     "for word")\n') == ["word for word"]


def test_hit_names_the_line_and_the_replacement() -> None:
    source = '"""Title.\n\nA row holds text.\n"""\n'
    assert wording.check_source(source, in_full=True) == [(3, '"holds": write "contains"')]


def test_code_and_data_are_not_read_as_text() -> None:
    assert phrases("count(word for word in words)\nSTOP = {'he', 'nobody'}\n") == []
    assert phrases("f'{[word for word in words]} is not a word'\n") == []


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "self._known = {}",
        "for wanted in range(3): pass",
        "[said for said in lines]",
        "def f(given): ...",
        "lambda asked: 1",
        "class A:\n    chosen: str",
        "if (shown := f()): pass",
        "with f() as kept: pass",
        "try: pass\nexcept OSError as told: pass",
        "match x:\n    case [taken, *_]: pass",
    ],
)
def test_participle_as_variable_is_reported(source: str) -> None:
    (name,) = phrases(source)
    assert name.lstrip("_") in wording.NAMES


def test_participle_in_a_longer_name_or_a_call_is_allowed() -> None:
    assert phrases("known_names = f(found=1)\nstore.kept()\n") == []


@pytest.mark.parametrize(
    "source",
    [
        'raise ValueError(f"{name} holds a NUL")',
        'error = BadInput("The text holds a NUL.")',
        'f(hint="A row holds text.")',
        'port = typer.Option(help="A row holds text.")',
        'port: int = Field(1, description="A row holds text.")',
        '@app.command()\ndef run() -> None:\n    """A row holds text."""',
        'class Config(Base):\n    rows: int = 1\n    """A row holds text."""',
        'app = cli.create_app("A row holds text.")',
    ],
)
def test_user_facing_text_is_read_everywhere(source: str) -> None:
    assert phrases(source, in_full=False) == ["holds"]


def test_internal_text_is_read_in_full_packages_only() -> None:
    source = '"""A row holds text."""\nfound = 1  # a row holds text\n'
    assert phrases(source) == ["holds", "holds", "found"]
    assert phrases(source, in_full=False) == []


def test_check_reads_full_and_other_packages(tmp_path: Path) -> None:
    for package in ("shared/src/seedbed", "projects/x/src/x"):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "a.py").write_text('found = 1\nraise ValueError("no one says so")\n')
    assert [hit.split(" ")[0] for hit in wording.check(tmp_path)] == [
        "projects/x/src/x/a.py:2:",
        "shared/src/seedbed/a.py:1:",
        "shared/src/seedbed/a.py:2:",
    ]


def test_replacements_contain_no_listed_phrase() -> None:
    for advice in [*wording.PHRASES.values(), *wording.NAMES.values()]:
        assert not any(pattern.search(advice) for pattern in wording._PATTERNS), advice
        assert not set(re.findall(r"\w+", advice)) & set(wording.NAMES), advice


@pytest.mark.slow
def test_tree_is_clean() -> None:
    assert wording.check(ROOT) == []
