"""The settings of rag_chatbot, read from the environment (`RAG_*`) and from `.env`."""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Config(BaseSettings):
    """How documents are cut, searched and answered from. Each field is one environment variable."""

    model_config = SettingsConfigDict(
        env_prefix="RAG_", env_file=".env", extra="ignore", populate_by_name=True
    )

    data_dir: Path = Field(Path("var/rag_chatbot"), description="Where the collections are kept.")
    chroma_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SEEDBED_CHROMA_URL", "RAG_CHROMA_URL"),
        description="A Chroma server, e.g. http://127.0.0.1:8000, in place of the embedded index.",
    )
    chunk_tokens: int = Field(128, ge=32, le=512, description="Tokens in a chunk, at most.")
    k: int = Field(12, ge=1, le=50, description="Chunks an answer is made from.")
    mode: Literal["auto", "quote", "write"] = Field(
        "auto", description="Quote the best sentences, or let the model write. auto: by the model."
    )
    strictness: float = Field(
        0.5, ge=0, le=1, description="How sure to be before answering: 0 always answers."
    )
    reranker: str | None = Field(
        None, description="A cross-encoder that reorders what was found, e.g. hf:ORG/REPO."
    )
    max_file_mb: int = Field(50, ge=1, description="Larger files are not read.")
