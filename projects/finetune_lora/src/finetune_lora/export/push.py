"""A folder to a repository of a hub, only when told to. It knows no models, only files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from seedbed.errors import BadInput, ConfigError, Forbidden, SeedbedError, Unauthorized, Unavailable
from seedbed.guardrails import reason

IGNORED = ("checkpoints/*", ".*", "*.tmp", "progress.jsonl")
"""What stays here: it is of use for going on with training only."""


def push(folder: Path, repo: str, *, private: bool = True, yes: bool = False) -> str:
    """Upload `folder` to the hub's `repo` (ORG/NAME, made if it is not there); its address.

    Without `yes` nothing is sent and ConfigError says what would be. Raises Unauthorized without
    a token, Forbidden where the token may not write, Unavailable without a network.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise BadInput(f"{repo!r} is no repository.", hint="Write ORG/NAME.")
    files = _files(folder)
    if not yes:
        size = sum(path.stat().st_size for path in files) / 1e6
        raise ConfigError(
            f"{len(files)} files ({size:.1f} MB) of {folder} would be sent to {repo}.",
            hint="Add --yes to send them.",
        )
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise Unavailable("HF_HUB_OFFLINE is set.", hint="Set HF_HUB_OFFLINE=0 to send.")
    if not get_token():
        raise Unauthorized("There is no token for the hub.", hint="Set HF_TOKEN, or: hf auth login")
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
        raise BadInput(f"There is no folder {folder}.", hint="Check the path.")
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in paths)
    kept = [folder / n for n in filter_repo_objects(names, ignore_patterns=list(IGNORED))]
    if not any(path.suffix in (".safetensors", ".gguf", ".bin") for path in kept):
        raise BadInput(f"{folder} holds no weights.", hint="Give an adapter's or export's folder.")
    return kept


def _explained(repo: str, endpoint: str, error: Exception) -> SeedbedError:
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    said = f"{repo} was not sent to {endpoint}: {reason(error)}"
    if status == 401:
        return Unauthorized(said, hint="Check HF_TOKEN, or: hf auth login")
    if status in (403, 404):
        return Forbidden(said, hint="The token needs to be allowed to write there.")
    return Unavailable(said, hint="Try again with a network; what was sent is not sent twice.")
