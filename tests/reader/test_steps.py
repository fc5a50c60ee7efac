"""The steps of build-it-yourself.md, taken in nano copies of two projects, have their effects."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/build-it-yourself.md"
STEP = re.compile(r"^<!-- file: (\S+) -->\n```diff\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILES = {
    "trees.md": "# Oak\n\nAn oak gets 600 years old.\n",
    "codes.md": "".join(f"# E-{n}\n\nE-{n}: the filter is blocked.\n\n" for n in range(4440, 4480)),
    # The first passage has the code, and a sentence whose number its quote lacks is dropped.
    "quotes.json": """- json: {sentences: [
    {sentence: Clean 9., passage: 1, quote: "E-4471: the filter"},
    {sentence: It is blocked., passage: 1, quote: "E-4471: the filter"}]}""",
    "none.json": "[]",
    "hello.json": "[Hello., Hello.]",
}
CLIENT = """python -c "import sqlite3
from fastapi.testclient import TestClient
from my_{} import routes, server
app = server.create_app('{}'); routes.add_routes(app); client = TestClient(app)
def post(path, **body):
    print(client.post(path, json=body, headers=dict(authorization='Bearer ben-2')).text)
{}" """
BOT = """python -m my_bot.app notes 'How old does an oak get?'; ls var/index/*.sqlite3
SEEDBED_MODEL=scripted:notes/quotes.json python -m my_bot.app notes 'What is E-4471?'
MY_BOT_DOCUMENTS=notes """ + CLIENT.format(
    "bot",
    "ben-2",
    """open('notes/fern.md', 'w').write('A fern grows in the shade.')
post('/reload'); post('/ask', question='Where does a fern grow?')""",
)
GATEWAY = """SEEDBED_MODEL=scripted:notes/none.json MY_GATEWAY_FALLBACK=scripted:notes/hello.json \
""" + CLIENT.format(
    "gateway",
    "anna-1,ben-2",
    """for most in (9, 9999):
    post('/v1/chat/completions', max_tokens=most, messages=[dict(role='user', content='Hi')])
print(*sqlite3.connect('usage.sqlite').execute('SELECT model FROM answers'))""",
)
CODE = "\nIt is blocked. [1]\n  [1] codes.md, E-4471\n"
LONG, USED = "max_tokens: Input should be less", "('scripted:notes/none.json',)"
COPIES = {
    "rag_chatbot": ("my-bot", BOT, ["An oak gets 600 years", "chroma.sqlite3", CODE, "A fern"]),
    "llm_service": ("my-gateway", GATEWAY, ["Hello.", LONG, USED]),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("project", COPIES)
def test_steps_have_their_effects(project: str, reader: Any) -> None:
    name, script, effects = COPIES[project]
    reader.run(f".venv/bin/python -m tools.starter {project} ../{name}")
    setup = f'export PATH="$PWD/.venv/bin:$PATH" PYTHONPATH=src; cd ../{name}\n'
    copy, package = reader.folder.with_name(name), name.replace("-", "_")
    (copy / "notes").mkdir()
    for file, text in FILES.items():
        (copy / "notes" / file).write_text(text, "utf-8")
    steps = [step for step in STEP.findall(PAGE.read_text("utf-8")) if package in step[0] + step[1]]
    assert len(steps) == 5
    for file, patch in steps:
        old, new = ("".join(re.findall(rf"^[ {sign}](.*\n)", patch, re.M)) for sign in "-+")
        text = (copy / file).read_text("utf-8") if old else ""
        assert text.count(old) == 1 or not old
        (copy / file).write_text(text.replace(old, new) if old else new, "utf-8")
    printed = reader.run(setup + script)
    assert [effect for effect in effects if effect not in printed] == [], printed
    reader.run(f"{setup}python -m pytest -n 2 -q -p no:cacheprovider tests")
