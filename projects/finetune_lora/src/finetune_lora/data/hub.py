"""A dataset of the Hugging Face hub as rows: `hf:ORG/NAME[/CONFIG]@REVISION[:SPLIT]`.

The revision is pinned: without one the newest commit is looked up, and its sha is reported.
`convert.py` interprets the columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from finetune_lora.data.rows import Row
from seedbed.errors import BadInput, MissingExtra, NotFound, Unavailable
from seedbed.safety.secrets import reason

_SPEC = re.compile(
    r"hf:(?P<repo>[\w.-]+(?:/[\w.-]+)?)(?:/(?P<config>[\w.-]+))?"
    r"(?:@(?P<revision>[\w./-]+))?(?::(?P<split>[\w.\[\]%:+-]+))?"
)


@dataclass(frozen=True)
class HubRows:
    """`revision` is the commit's sha; `licence` as the dataset's page states it, if it does."""

    rows: Iterator[Row]
    revision: str
    licence: str = ""


def read_hub(
    spec: str,
    *,
    endpoint: str | None = None,
    load: Callable[..., Any] | None = None,
) -> HubRows:
    """The rows of `spec`; `load` has the signature of `datasets.load_dataset`.

    Raises BadInput for a spec that is none, NotFound for a dataset that is not there, Unavailable
    without a network, MissingExtra without `datasets`.
    """
    parts = _SPEC.fullmatch(spec)
    if parts is None:
        raise BadInput(f"Invalid dataset {spec!r}.", hint="Use hf:ORG/NAME@REVISION[:SPLIT].")
    load = load or _library()
    revision, licence = _resolve(spec, parts["repo"], parts["revision"], endpoint)
    try:
        table = load(
            parts["repo"], parts["config"], revision=revision, split=parts["split"] or "train"
        )
    except Exception as error:  # the library raises its own, pyarrow's, httpx's and OSErrors
        raise BadInput(f"Cannot read {spec}: {reason(error)}") from None
    return HubRows(_rows(table), revision, licence)


def _library() -> Callable[..., Any]:
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "finetune-lora[hub]") from None
    datasets.disable_progress_bars()
    return datasets.load_dataset  # type: ignore[no-any-return]


def _resolve(spec: str, repo: str, revision: str | None, endpoint: str | None) -> tuple[str, str]:
    """The commit's sha and the licence. Requested first, as it fails quickly without a network."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if constants.HF_HUB_OFFLINE and revision:
        return revision, ""  # what an earlier call downloaded is used
    try:
        info = HfApi(endpoint).dataset_info(repo, revision=revision, timeout=10)
    except RevisionNotFoundError:
        raise NotFound(f"{spec}: unknown revision {revision!r}.") from None
    except RepositoryNotFoundError:
        raise NotFound(
            f"Dataset {repo!r} does not exist on the Hugging Face Hub, or it is private.",
            hint="Check the name. For a private dataset, set HF_TOKEN.",
        ) from None
    except Exception as error:  # the hub raises its own, httpx's and OSErrors
        raise Unavailable(
            f"{spec}: cannot connect to the Hugging Face Hub: {reason(error).rstrip('.')}.",
            hint="Check the network, or use a local file.",
        ) from None
    card = info.card_data
    return str(info.sha), str((card and card.get("license")) or "")


def _rows(table: Any) -> Iterator[Row]:
    """Numbers of classes become the names that the dataset gives them."""
    names = {
        column: feature.names
        for column, feature in table.features.items()
        if hasattr(feature, "int2str") and feature.names
    }
    for number, row in enumerate(table, 1):
        # The hub marks a row without a label by -1 or null.
        numbers = {column: -1 if row[column] is None else row[column] for column in names}
        named = {c: n[numbers[c]] if numbers[c] >= 0 else None for c, n in names.items()}
        yield Row(number, {**row, **named})
