"""The price list: what each part of a project buys over its edition of one file, and its lines.

`docs/how-to/build-it-yourself.md` shows it; `python -m tools.docs` writes the tables there:

    <!-- text: tools.prices:rag_chatbot -->

A text may name a figure of `benchmarks/results.json`, such as {rag-start.ready_seconds}. Only what
was measured has a figure. What is built against damage says against which, and a test shows it; the
rest says "not measured".
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from tools.docs import result
from seedbed.errors import NotFound

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
# The steps by which an edition of one file grows into a project, as the page names them.
MEASURE, IMPROVE, CHECK, KEEP, SERVE = "Measure", "Improve", "Check", "Keep", "Serve"

Part = tuple[str, str, str]  # step, places below the package, what it buys

PRICES: dict[str, list[Part]] = {
    "rag_chatbot": [
        (MEASURE, "evaluate", "the figures of this table"),
        (
            IMPROVE,
            "answer/quote",
            "right quotes: {rag-answers.intervals.answer_accuracy as interval} of the questions, "
            "nano {nano-rag.nano.answer_accuracy as interval}",
        ),
        (
            IMPROVE,
            "search",
            "keywords beside vectors: nDCG@10 {rag-beir.ndcg@10.hybrid}, vectors alone "
            "{rag-beir.ndcg@10.dense}",
        ),
        (
            IMPROVE,
            "read",
            "14 more formats, four languages; hostile files end at a limit of time or memory",
        ),
        (
            CHECK,
            "answer/write.py answer/verify.py answer/check.py answer/claims.py answer/judge.py "
            "answer/evidence.py",
            "with a bigger model: of 65 sentences that nothing supports, 7 were shown as confirmed "
            "at first, none after these were read; nano checks the quote alone, not measured",
        ),
        (
            KEEP,
            "store ingest.py",
            "{rag-ingest.unchanged_chunks as whole} unchanged chunks in "
            "{rag-ingest.unchanged_seconds} s instead of embedding them again at "
            "{rag-ingest.chunks_per_second as whole} a second; survives SIGKILL; access by key",
        ),
        (SERVE, "talk conversation.py", "five interfaces, follow-up questions; not measured"),
    ],
    "multi_agent": [
        (MEASURE, "evaluate", "the figures of this table"),
        (
            IMPROVE,
            "offline",
            "without a bigger model {nano-agents.full.solved as interval} of the shipped tasks, "
            "with which it was developed; nano {nano-agents.nano.solved as interval}",
        ),
        (
            IMPROVE,
            "graph.py team specialists llm",
            "a plan whose steps run side by side: three take {agents.three_against_one as ratio} "
            "the time of one; in nano they take turns",
        ),
        (
            CHECK,
            "answer",
            "confidently wrong: {nano-agents.full.confident_wrong as interval}, nano "
            "{nano-agents.nano.confident_wrong as interval}",
        ),
        (
            CHECK,
            "tools data",
            "code runs in WebAssembly, a query ends after 10 s or 250 MB, calls have budgets; "
            "nano's queries have no limit of time",
        ),
        (
            KEEP,
            "runs memory.py",
            "no call is repeated after SIGKILL, for {agents.tool_call_p50_ms} ms a call; nano "
            "continues after its last node",
        ),
        (SERVE, "serve", "a page, events, MCP, owners; not measured"),
    ],
    "llm_service": [
        (MEASURE, "evaluate.py", "the figures of this table"),
        (
            IMPROVE,
            "models",
            "several models, each in a process of its own, and vendors; with 16 streams "
            "{service-throughput.ratio_engine_16 as ratio} the tokens of the bare engine",
        ),
        (
            IMPROVE,
            "protocol",
            "four more endpoints; nano accepts as many of the shipped schemas, "
            "{nano-service.nano.schema_accepted as interval}, and its replies are as valid, since "
            "it passes them on to the same model",
        ),
        (
            CHECK,
            "gateway",
            "limits, budgets, fallbacks, a cache, for {service-overhead.added_p50_ms} ms a "
            "request; guardrails stop {nano-service.full.pii_stopped as interval} of the prompts "
            "with personal data, nano none",
        ),
        (KEEP, "store", "keys, usage and money survive SIGKILL; nano has one key and counters"),
        (
            SERVE,
            "web observe",
            "after 10 minutes of overload {service-soak.growth_percent} % more memory, and refused "
            "in {service-soak.refused_p99_ms} ms (p99); nano not measured",
        ),
        (SERVE, "on_ray", "replicas on several machines; not measured"),
    ],
    "agentic_workflow": [
        (MEASURE, "evaluate", "the figures of this table"),
        (
            IMPROVE,
            "triage mail",
            "the right category for {nano-workflow.full.category as interval} of the shipped "
            "mails in four languages, nano {nano-workflow.nano.category as interval}",
        ),
        (
            CHECK,
            "decide",
            "handles 21 of the 80 harmless mails alone, and none of the 24 that need a person; "
            "nano always asks",
        ),
        (
            KEEP,
            "effects",
            "a mail that may have been sent is in doubt rather than sent twice; nano relies on a "
            "receiver that recognizes keys",
        ),
        (
            KEEP,
            "engine store workflow.py",
            "another worker takes over {workflow.takeover_sqlite_seconds.p50} s after SIGKILL "
            "({workflow.takeover_sqlite_seconds.kills} kills); nano at the next start",
        ),
        (SERVE, "serve", "an inbox with evidence, roles, metrics; not measured"),
    ],
    "vision_app": [
        (MEASURE, "evaluate", "the figures of this table"),
        (
            IMPROVE,
            "extract answer",
            "{nano-vision.full.fields as interval} of the fields of three documents are right, "
            "nano {nano-vision.nano.fields as interval}",
        ),
        (
            IMPROVE,
            "ocr",
            "{vision-ocr.ratio as ratio} as fast as RapidOCR by itself on ONNX Runtime, and the "
            "order in which a page is read",
        ),
        (IMPROVE, "classify", "learns your classes; says why; not measured against nano"),
        (
            IMPROVE,
            "search",
            "similar pictures among {vision-search.vectors as whole} in {vision-search.p50_ms} ms",
        ),
        (CHECK, "files", "hostile pictures and PDFs end at a limit of time, pixels or memory"),
        (SERVE, "serve", "many requests at a time in batches, a page, an API; not measured"),
    ],
    "finetune_lora": [
        (
            MEASURE,
            "evaluate",
            "baselines, slices, and a comparison case by case; the figures of this table",
        ),
        (
            IMPROVE,
            "train",
            "{finetune-training.ratio as ratio} the tokens a second of TRL at its best; after "
            "{finetune-task.training_minutes as whole} minutes "
            "{finetune-task.systems.adapter.exact_match as percent} of the calls are right, "
            "nano {nano-finetune.nano.exact_match as interval} after four",
        ),
        (CHECK, "data", "duplicates, leaks into the test, personal data; not measured"),
        (KEEP, "jobs runs", "a run continues after SIGKILL; nano starts again"),
        (
            SERVE,
            "export",
            "the tuned model answers at {finetune-served.ratio_16 as ratio} the speed of its base; "
            "nano saves an adapter",
        ),
        (SERVE, "page", "a page that follows a run; not measured"),
    ],
    "research_repro": [
        (
            MEASURE,
            "results.py paper.py",
            "verdicts over seeds; a claim changed afterwards is noticed",
        ),
        (
            IMPROVE,
            "papers",
            "45 claims of three papers with networks, 36 of them reproduced; nano has one, about a "
            "matrix. Of LoRA's five equations both satisfy all",
        ),
        (
            KEEP,
            "runs run.py",
            "a run continues after SIGKILL with the same numbers; nano starts again",
        ),
        (SERVE, "report site.py tracking.py", "a report with failures first; not measured"),
        (SERVE, "template", "a complete small paper to start from; not measured"),
    ],
}


def table(package: str) -> str:
    """The price list of one project, in Markdown."""
    source = ROOT / "projects" / package / "src" / package
    nano = len((source.parents[1] / "nano.py").read_text("utf-8").splitlines())
    rows = [
        f"`nano.py` has {nano} lines, the project {rounded(lines(source))} below `src`.",
        "",
        "| step | part | lines | what it buys |",
        "|---|---|---:|---|",
    ]
    for step, places, buys in PRICES[package]:
        names, total = places.split(), 0
        links = []
        for name in names:
            total += lines(source / name)
            folder = f"../../projects/{package}/src/{package}/{name}"
            links.append(f"`{name}`" if name.endswith(".py") else f"[{name}]({folder})")
        figures = re.sub(r"\{(.+?)\}", lambda match: figure(match[1]), buys)
        rows.append(f"| {step} | {' '.join(links)} | {rounded(total)} | {figures} |")
    return "\n".join(rows)


def figure(path: str) -> str:
    """A figure of the results, in the form that its path names; "(not measured)" without one."""
    try:
        return result(RESULTS, path)
    except NotFound:
        return "(not measured)"


def rounded(count: int) -> str:
    """To the nearest 50, so that a small change of the code does not change the page.

    >>> rounded(2383), rounded(12)
    ('2,400', '50')
    """
    return f"{max(50, 50 * round(count / 50)):,}"


def lines(place: Path) -> int:
    """Lines of Python in a file, or below a folder. NotFound if there is neither."""
    if not place.exists():
        raise NotFound(f"The price list names {place}, which does not exist.")
    files = place.rglob("*.py") if place.is_dir() else [place]
    return sum(len(file.read_text("utf-8").splitlines()) for file in files)


rag_chatbot = partial(table, "rag_chatbot")
multi_agent = partial(table, "multi_agent")
llm_service = partial(table, "llm_service")
agentic_workflow = partial(table, "agentic_workflow")
vision_app = partial(table, "vision_app")
finetune_lora = partial(table, "finetune_lora")
research_repro = partial(table, "research_repro")
