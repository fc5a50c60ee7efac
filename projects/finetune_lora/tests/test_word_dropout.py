"""Later passes over labelled rows leave words out; the first, and chats, stay as they are."""

import json
import random
from pathlib import Path

import pytest
from finetune_fakes import tiny_base

from finetune_lora.example import Example
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.job import Job, prepare
from finetune_lora.train.word_dropout import leave_out, without_words
from seedbed.errors import ConfigError

TEXT = "my card was charged\ntwice for one thing"
ROWS = 12


def test_some_words_go_and_the_others_stay_in_order() -> None:
    rng = random.Random(0)
    found = [leave_out(TEXT, 0.25, rng) for _ in range(400)]
    words = TEXT.split()
    for text in found:
        left = iter(words)
        assert text and all(word in left for word in text.split())  # in their order
    kept = sum(len(text.split()) for text in found) / 400 / len(words)
    assert kept == pytest.approx(0.75, abs=0.03)
    assert "charged\ntwice" in "|".join(found)


def test_a_text_never_loses_everything() -> None:
    rng = random.Random(0)
    assert {leave_out("Help!", 0.9, rng) for _ in range(50)} == {"Help!"}


def test_only_what_the_user_said_changes() -> None:
    system = {"role": "system", "content": "Name the kind of the request."}
    asked, answer = {"role": "user", "content": TEXT}, {"role": "assistant", "content": "fee"}
    (one,) = without_words([Example((system, asked, answer), "fee", {"noise": "none"}, 7)], 0.5, 0)
    assert (one.messages[0], one.messages[2]) == (system, answer)
    assert (one.label, one.tags, one.line) == ("fee", {"noise": "none"}, 7)
    assert one.text != TEXT


def job(tmp_path: Path, rows: list[dict], **options: object) -> Job:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    base = tiny_base(tmp_path / "base")
    args = {"data": str(data), "output": str(tmp_path / "run"), "base": base, "epochs": 3}
    return prepare(TrainArgs(**args | options, batch_size=4))  # type: ignore[arg-type]


def labelled() -> list[dict]:
    return [{"text": f"{TEXT} {i}", "label": ("fee", "loss")[i % 2]} for i in range(ROWS)]


def test_the_first_pass_is_the_data_and_each_later_one_differs(tmp_path: Path) -> None:
    whole = job(tmp_path, labelled())
    plain = job(tmp_path, labelled(), word_dropout=0.0)
    assert len(plain.encoded) == ROWS and plain.plan.planned == whole.plan.planned == 9
    passes = [whole.encoded[i : i + ROWS] for i in range(0, len(whole.encoded), ROWS)]
    assert passes[0] == plain.encoded
    assert len({str([e.ids for e in one]) for one in passes}) == len(passes) == 3
    assert all(len(a) <= len(b) for one in passes for a, b in zip(one, passes[0], strict=True))
    assert whole.encoded == job(tmp_path, labelled()).encoded
    assert whole.encoded != job(tmp_path, labelled(), seed=1).encoded


def test_very_many_passes_meet_the_same_rows_again(tmp_path: Path) -> None:
    many = job(tmp_path, labelled(), epochs=100)
    assert many.plan.planned == 300 and len(many.encoded) == 8 * ROWS


def test_chats_stay_as_they_are(tmp_path: Path) -> None:
    rows = [{"prompt": row["text"], "completion": row["label"]} for row in labelled()]
    assert len(job(tmp_path, rows).encoded) == ROWS


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_below_one(share: float) -> None:
    with pytest.raises(ConfigError, match=r"Invalid --word-dropout: .*0\.2"):
        TrainArgs(data="rows.jsonl", output="run", word_dropout=share)
