"""The table of runs, how a run goes, and what it was made with, as HTML.

It knows runs as `library` gives them, and asks for nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from finetune_lora.evaluate.curve import Series, chart, points, smooth
from finetune_lora.page.markup import command, facts, number, percent, section
from finetune_lora.runs.progress_bar import clock_time
from seedbed.cli import command_line
from seedbed.server.html import badge, error, escape, hint

Run = Mapping[str, Any]
Lines = Sequence[dict[str, Any]]
COLOURS = 6
_STATES = ("running", "finished", "stopped", "failed")


def empty(root: str) -> str:
    """What to type while there is no run."""
    start = (
        f"{command_line('finetune-lora', 'run')}  # the help-desk task, ten minutes\n"
        f"{command_line('finetune-lora', 'train', '--data', 'TRAIN.jsonl')}  # your own data"
    )
    return (
        "<div class='empty'><h2>No runs yet</h2><p>Start one in a terminal; it appears "
        f"here within two seconds:</p><pre><code>{escape(start)}</code></pre>"
        f"<p class='hint'>This page shows the runs in <code>{escape(root)}</code>. "
        "Change the folder with FINETUNE_DATA_DIR.</p></div>"
    )


def table(runs: Sequence[Run], chosen: Sequence[str]) -> str:
    """All runs; a name chooses one, its box compares it with others."""
    heads = "|Run|State|Base|Data|Steps|Loss|Eval loss|Exact match|Tokens/s|Minutes".split("|")
    head = "".join(f"<th scope='col' class='{_column(h)}'>{h}</th>" for h in heads)
    rows = "".join(_row(run, chosen, heads) for run in runs)
    return (
        "<div class='scroll'><table class='runs'>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        + (hint("Click a name to show one run; tick boxes to compare several.") if runs[1:] else "")
    )


def _row(run: Run, chosen: Sequence[str], heads: Sequence[str]) -> str:
    name, last = str(run["name"]), run["last"]
    results = _mapping(run.get("results"))
    on = name in chosen
    colour = f" c{chosen.index(name) % COLOURS}" if on and len(chosen) > 1 else ""
    cells = (
        f"<input type='checkbox' data-run='{escape(name)}' aria-label='Compare {escape(name)}'"
        f"{' checked' if on else ''}>",
        f"<a href='?run={quote(name, safe='')}' data-run='{escape(name)}'>{escape(name)}</a>",
        state_badge(run),
        escape(short_base(run.get("base"))),
        escape(_data(run)),
        _steps(run),
        number(results.get("train_loss") or last.get("loss")),
        number(_either(results.get("eval_loss"), last.get("eval_loss"))),
        percent(_either(run.get("exact_match"), last.get("eval_accuracy"))),
        number(_either(results.get("tokens_per_second"), last.get("tokens_per_second")), ".0f"),
        number(_minutes(run), ".1f"),
    )
    shown = "".join(
        f"<td class='{_column(h)}'>{cell}</td>" for h, cell in zip(heads, cells, strict=True)
    )
    return f"<tr class='{'on' if on else ''}{colour}'>{shown}</tr>"


def live(run: Run, lines: Lines) -> str:
    """How one run goes or went: its state, the figures of now, its curves."""
    last = run["last"]
    results = _mapping(run.get("results"))
    tiles = {
        "Step": _steps(run),
        "Loss": number(last.get("loss")),
        "Eval loss": number(_either(results.get("eval_loss"), last.get("eval_loss"))),
        "Accuracy": percent(last.get("eval_accuracy")) if "eval_accuracy" in last else "",
        "Learning rate": number(last.get("lr"), ".2e"),
        "Tokens/s": number(
            _either(results.get("tokens_per_second"), last.get("tokens_per_second")), ",.0f"
        ),
        "Peak memory": f"{results['peak_memory_mb']:,} MB" if "peak_memory_mb" in results else "",
        "Time": clock_time(seconds) if (seconds := _seconds(run)) is not None else "–",
    }
    if run.get("state") == "running":
        tiles["Time left"] = clock_time(last["left"]) if "left" in last else "–"
    shown = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in tiles.items() if v)
    return (
        f"<div class='head'><h2>{escape(run['name'])}</h2>{state_badge(run)}</div>{_message(run)}"
        f"<dl class='tiles'>{shown}</dl>{_curves(run, lines)}"
    )


def compared(runs: Sequence[Run], lines: Mapping[str, Lines]) -> str:
    """Several runs' curves in one picture each."""
    until = max((_until(run) for run in runs), default=0)
    train, evaluated = [], []
    for place, run in enumerate(runs):
        colour, own = place % COLOURS, lines[run["name"]]
        train.append(Series(str(run["name"]), smooth(points(own, "loss")), colour))
        evaluated.append(Series(str(run["name"]), points(own, "eval_loss"), colour))
    dots = [Series("", s.points, s.colour, "dots") for s in evaluated]
    return (
        f"<div class='head'><h2>{len(runs)} runs compared</h2></div>"
        + chart("Training loss, smoothed", train, until=until, log=True)
        + chart("Evaluation loss", [*evaluated, *dots], until=until, log=True)
    )


def differences(runs: Sequence[Run]) -> str:
    """The arguments in which runs differ, a row for each."""
    args = [{**_mapping(run.get("args")), "base": run.get("base")} for run in runs]
    names = [
        name
        for name in dict.fromkeys(key for arg in args for key in arg)
        if name not in ("output", "resume") and len({str(arg.get(name)) for arg in args}) > 1
    ]
    if not names:
        return hint("These runs have the same arguments.")
    head = "".join(f"<th scope='col'>{escape(run['name'])}</th>" for run in runs)
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>"
        + "".join(f"<td>{escape(arg.get(name, '–'))}</td>" for arg in args)
        + "</tr>"
        for name in names
    )
    return (
        "<h3>Arguments that differ</h3><div class='scroll'><table class='figures'>"
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def about(run: Run, card: Mapping[str, Any] | None, has_model_card: bool, *, evaluate: str) -> str:
    """Arguments, data and environment of a run, with the link to its model card.

    `evaluate` is the command that writes the model card.
    """
    name = quote(str(run["name"]), safe="/")
    link = (
        f"<p><a href='/v1/runs/{name}/card' target='_blank' rel='noopener'>Model card</a></p>"
        if has_model_card
        else hint(f"No model card yet. Create it with: {evaluate}")
    )
    made = {
        "Folder": run.get("folder"),
        "Started": str(run.get("started") or "").replace("T", " ")[:19],
        "Base": f"{run.get('base')} ({run.get('base_hash')})",
        "Prompt hash": run.get("prompt_hash"),
        "Stopped by": _mapping(run.get("results")).get("stopped_by"),
        "Git commit": run.get("git_commit"),
        "Machine": run.get("platform"),
        "Versions": ", ".join(f"{k} {v}" for k, v in _mapping(run.get("versions")).items()),
    }
    arguments = {k.replace("_", " "): v for k, v in _mapping(run.get("args")).items()}
    return (
        link
        + section("Run", facts(made))
        + section("Data", _data_facts(run, card))
        + section("Arguments", facts(arguments))
    )


def _data_facts(run: Run, card: Mapping[str, Any] | None) -> str:
    data, dev = _mapping(run.get("data")), _mapping(run.get("eval_data"))
    labels = run.get("labels")
    labels = [str(label) for label in labels] if isinstance(labels, list) else []
    found = {
        "Training": f"{data.get('path', '–')}, {data.get('n', '–')} examples",
        "sha256": data.get("sha256"),
        "Evaluated on": f"{dev['path']}, {dev.get('n')} examples" if "path" in dev else "",
        "Labels": ", ".join(labels),
    }
    if card is None:
        prepare = command_line("finetune-lora", "prepare", "FILE", "--output", "DIR")
        return facts(found) + hint(f"No data card. Create one with: {prepare}")
    splits = _mapping(card.get("splits"))
    removed = _mapping(card.get("removed"))
    pii = {kind: _mapping(of).get("found") for kind, of in _mapping(card.get("pii")).items()}
    languages = _mapping(_mapping(card.get("languages")).get("shares"))
    warnings = card.get("warnings")
    found |= {
        "Rows": ", ".join(f"{k} {_mapping(v).get('rows')}" for k, v in splits.items()),
        "Removed rows": ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in removed.items() if v),
        "Personal data found": ", ".join(f"{k} {v}" for k, v in pii.items()) or "none",
        "Languages": ", ".join(f"{k} {v:.0%}" for k, v in languages.items()),
        "Licence": card.get("licence"),
        "Warnings": " ".join(map(str, warnings)) if isinstance(warnings, list) else "",
    }
    return facts(found)


def state_badge(run: Run) -> str:
    state = str(run.get("state") or "unknown")
    return badge(state, state if state in _STATES else "")


def _message(run: Run) -> str:
    """What went wrong and what to type, where something is to be done."""
    state, on = run.get("state"), command(str(run.get("resume", "")))
    if state == "stopped":
        step = run["last"].get("step", 0)
        return f"<div class='said'>Stopped at step {escape(step)}. Continue with:{on}</div>"
    if state == "failed":
        reason = error(str(run.get("error") or "The run failed without an error message."))
        resume = f"<div class='said'>Continue from the last checkpoint with:{on}</div>"
        return reason + (resume if run.get("args") else "")
    return ""


def _curves(run: Run, lines: Lines) -> str:
    until = _until(run)
    raw, evaluated = points(lines, "loss"), points(lines, "eval_loss")
    loss = [
        Series("", raw, 0, "faint"),
        Series("train", smooth(raw), 0),
        Series("eval", evaluated, 1),
        Series("", evaluated, 1, "dots"),
    ]
    accuracy = points(lines, "eval_accuracy")
    small = [
        chart("Learning rate", [Series("", points(lines, "lr"), 2)], until=until, small=True),
        chart(
            "Tokens per second",
            [Series("", smooth(points(lines, "tokens_per_second")), 3)],
            until=until,
            small=True,
        ),
    ]
    if accuracy:
        shown = [Series("", accuracy, 1), Series("", accuracy, 1, "dots")]
        small.insert(0, chart("Accuracy", shown, until=until, small=True))
    return (
        chart("Loss", loss, until=until, log=True) + f"<div class='charts'>{''.join(small)}</div>"
    )


def _until(run: Run) -> float:
    planned = run["last"].get("of") or run.get("planned_steps") or 0
    return float(planned) if run.get("state") in ("running", "stopped") else 0.0


def _steps(run: Run) -> str:
    step = _either(run.get("steps"), run["last"].get("step"), 0)
    planned = _either(run["last"].get("of"), run.get("planned_steps"))
    if planned is None or (run.get("state") == "finished" and planned == step):
        return escape(step)
    return f"{escape(step)}&#8239;/&#8239;{escape(planned)}"


def _seconds(run: Run) -> float | None:
    found = _either(run.get("seconds"), run["last"].get("seconds"))
    return float(found) if isinstance(found, (int, float)) else None


def _minutes(run: Run) -> float | None:
    seconds = _seconds(run)
    return None if seconds is None else seconds / 60


def _data(run: Run) -> str:
    """The file's name, with its folder where the name alone says little."""
    path = str(_mapping(run.get("data")).get("path") or "")
    if not path:
        return "–"
    return path if path.startswith("hf:") else "/".join(PurePath(path).parts[-2:])


def short_base(base: Any) -> str:
    """`path:/long/way/to/model` as its last part."""
    text = str(base or "–")
    return PurePath(text[5:]).name if text.startswith("path:") else text


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _either(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _column(head: str) -> str:
    return head.lower().replace(" ", "-").replace("/", "-") or "pick"
