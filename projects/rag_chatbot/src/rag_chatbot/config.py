"""The settings of rag_chatbot, read from the environment (`RAG_*`) and from `.env`.

    load(Config, k=20)              # `seedbed.settings.load`; an argument overrides one setting
    RAG_K=20 rag-chatbot ask "…"    # the same from a shell

The descriptions below are also the comments in `.env.example`.
"""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field

from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="RAG_"):
    """How documents are stored, chunked and searched, and how questions are answered.

    Each field is one environment variable. A wrong value raises ConfigError with its name.
    """

    data_dir: Path = Field(
        Path("var/rag_chatbot"),
        description="Folder of the documents, their index and the conversations.",
    )
    chroma_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SEEDBED_CHROMA_URL", "RAG_CHROMA_URL"),
        description="URL of a Chroma server, e.g. http://127.0.0.1:8000, which several processes"
        " can share. Default: an index inside the data folder.",
    )
    writers: str = Field(
        "",
        description="Names of the API keys, separated by commas, that may change collections made"
        " by the operator, such as `default`; `*` for every key. Default: none, keys only read"
        " them.",
    )
    cors_origins: str = Field(
        "",
        description="Web sites, separated by commas, whose pages may use the HTTP API, e.g."
        " https://intranet.example.com; `*` for every site. Default: none.",
    )
    chunk_tokens: int = Field(
        128,
        ge=32,
        le=512,
        description="Maximum length of a chunk in tokens. Larger chunks give a writing model more"
        " context and lower the precision of search. After a change, run `rag-chatbot ingest`"
        " again.",
    )
    k: int = Field(
        12,
        ge=1,
        le=50,
        description="Number of chunks retrieved per question. Raise it when answers miss facts that"
        " the documents contain; each chunk costs time.",
    )
    mode: Literal["auto", "quote", "write"] = Field(
        "auto",
        description="How to answer. `quote`: sentences of the documents. `write`: the model's own"
        " sentences, each checked against the documents. `auto`: `write` if the model is large"
        " enough for it.",
    )
    strictness: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How much evidence an answer needs: 0 always answers, 1 never does. Raise it"
        " when wrong answers cost more than missing ones.",
    )
    judge: bool = Field(
        True,
        description="Whether a model behind an API decides, in one more short call, about its"
        " sentences that a comparison of words cannot confirm. Otherwise they are marked.",
    )
    max_file_mb: int = Field(
        50, ge=1, description="Maximum size of a document in megabytes. Larger files are refused."
    )
