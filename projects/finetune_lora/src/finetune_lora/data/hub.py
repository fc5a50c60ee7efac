"""A dataset of the Hugging Face hub as rows: `hf:ORG/NAME[/CONFIG]@REVISION[:SPLIT]`.

The revision is pinned: without one the newest commit is looked up, and its sha is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from finetune_lora.data.rows import Row
from seedbed.errors import BadInput, MissingExtra, NotFound, Unavailable
from seedbed.safety.secrets import reason

_SPEC = re.compile(
    r"hf:(?P<repo>[\w.-]+(?:/[\w.-]+)?)(?:/(?P<config>[\w.-]+))?"
    r"(?:@(?P<revision>[\w./-]+))?(?::(?P<split>[\w.\[\]%:+-]+))?"
)


def read_hub(
    spec: str, *, endpoint: str | None = None, load: Callable[..., Any] | None = None
) -> tuple[Iterator[Row], str, str]:
    """The rows of `spec`, the commit's sha, and the licence, if the dataset's page states it.

    `load` has the signature of `datasets.load_dataset`. Raises BadInput for an invalid spec,
    NotFound for a dataset that does not exist, Unavailable without a network, MissingExtra without
    `datasets`.
    """
    parts = _SPEC.fullmatch(spec)
    if parts is None:
        raise BadInput(f"Invalid dataset {spec!r}.", hint="Use hf:ORG/NAME@REVISION[:SPLIT].")
    load = load or _library()
    revision, licence = parts["revision"], ""
    # Offline, what an earlier call downloaded is used.
    if not (constants.HF_HUB_OFFLINE and revision):
        try:
            info = HfApi(endpoint).dataset_info(parts["repo"], revision=revision, timeout=10)
        except (RepositoryNotFoundError, RevisionNotFoundError):
            raise NotFound(
                f"{spec} does not exist on the Hugging Face Hub, or it is private.",
                hint="Check the name and the revision. For a private dataset, set HF_TOKEN.",
            ) from None
        except Exception as error:  # the hub raises its own, httpx's and OSErrors
            raise Unavailable(
                f"{spec}: cannot connect to the Hugging Face Hub: {reason(error).rstrip('.')}.",
                hint="Check the network, or use a local file.",
            ) from None
        revision, card = str(info.sha), info.card_data
        licence = str((card and card.get("license")) or "")
    try:
        table = load(
            parts["repo"], parts["config"], revision=revision, split=parts["split"] or "train"
        )
    except Exception as error:  # the library raises its own, pyarrow's, httpx's and OSErrors
        raise BadInput(f"Cannot read {spec}: {reason(error)}") from None
    return _rows(table), revision, licence


def _library() -> Callable[..., Any]:
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "finetune-lora[hub]") from None
    datasets.disable_progress_bars()
    return datasets.load_dataset  # type: ignore[no-any-return]


def _rows(table: Any) -> Iterator[Row]:
    """Numbers of classes become the names that the dataset gives them."""
    features = table.features.items()
    classes = {column: f.names for column, f in features if hasattr(f, "int2str") and f.names}
    for number, row in enumerate(table, 1):
        for column, names in classes.items():
            # The hub marks a row without a label by -1 or null.
            index = -1 if row[column] is None else row[column]
            row = {**row, column: names[index] if index >= 0 else None}
        yield number, row
