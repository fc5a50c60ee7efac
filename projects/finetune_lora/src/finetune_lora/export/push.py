"""A folder to a repository of a hub, only when told to. It knows no models, only files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from seedbed.errors import BadInput, ConfigError, Forbidden, SeedbedError, Unauthorized, Unavailable
from seedbed.safety.secrets import reason

IGNORED = ("checkpoints/*", ".*", "*.tmp", "progress.jsonl")
"""What stays here: it is of use for going on with training only."""


def push(folder: Path, repo: str, *, private: bool = True, yes: bool = False) -> str:
    """Upload `folder` to the hub's `repo` (ORG/NAME, made if it is not there); its address.

    Without `yes` nothing is sent and ConfigError says what would be. Raises Unauthorized without
    a token, Forbidden where the token may not write, Unavailable without a network.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise BadInput(f"Invalid repository {repo!r}.", hint="Use ORG/NAME.")
    files = _files(folder)
    if not yes:
        size = sum(path.stat().st_size for path in files) / 1e6
        raise ConfigError(
            f"This would upload {len(files)} files ({size:.1f} MB) from {folder} to {repo}.",
            hint="Add --yes to upload them.",
        )
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise Unavailable("HF_HUB_OFFLINE is set.", hint="Set HF_HUB_OFFLINE=0 to upload.")
    if not get_token():
        raise Unauthorized(
            "No token for the Hugging Face Hub.", hint="Set HF_TOKEN, or run: hf auth login"
        )
    api = HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            ignore_patterns=list(IGNORED),
            commit_message=f"Upload {folder.name}",
        )
    except Exception as error:  # the hub raises its own, httpx's and OSErrors
        raise _explained(repo, constants.ENDPOINT, error) from error
    return f"{constants.ENDPOINT}/{repo}"


def _files(folder: Path) -> list[Path]:
    from huggingface_hub.utils import filter_repo_objects

    if not folder.is_dir():
        raise BadInput(f"Folder not found: {folder}.", hint="Check the path.")
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in paths)
    kept = [folder / n for n in filter_repo_objects(names, ignore_patterns=list(IGNORED))]
    if not any(path.suffix in (".safetensors", ".gguf", ".bin") for path in kept):
        raise BadInput(
            f"{folder} does not contain weights.",
            hint="Use the folder of an adapter or an export.",
        )
    return kept


def _explained(repo: str, endpoint: str, error: Exception) -> SeedbedError:
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    said = f"Upload of {repo} to {endpoint} failed: {reason(error)}"
    if status == 401:
        return Unauthorized(said, hint="Check HF_TOKEN, or run: hf auth login")
    if status in (403, 404):
        return Forbidden(said, hint="The token needs write access to this repository.")
    return Unavailable(
        said, hint="Check the network and try again; files already uploaded are skipped."
    )
