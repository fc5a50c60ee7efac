"""Pictures to try without having any: two invented documents, and two photographs.

    samples()[0].path.read_bytes()          # an invoice
    [sample.name for sample in samples()]   # ['invoice', 'receipt', 'flower', 'palace']

The photographs are those that scikit-learn ships, read from there.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """A picture; `schema` is the kind of document to look for in it, `credit` names its author."""

    name: str
    path: Path
    schema: str = "invoice"
    credit: str = ""


@cache
def samples() -> tuple[Sample, ...]:
    """The samples whose files exist."""
    here = Path(__file__).parent
    package = find_spec("sklearn")  # without importing it, which takes a second
    photos = Path(package.origin if package and package.origin else here).parent / "datasets/images"
    candidates = (
        Sample("invoice", here / "invoice.png"),
        Sample("receipt", here / "receipt.png", "receipt"),
        Sample("flower", photos / "flower.jpg", credit="vultilion, CC BY 2.0"),
        Sample("palace", photos / "china.jpg", credit="danielbuechele, CC BY 2.0"),
    )
    return tuple(sample for sample in candidates if sample.path.exists())
