"""Read the tensors of a checkpoint in torch's format from before 1.6, without torch.

    weights = load(Path("efficientnet-lite0-57934424.pth"))    # {"_fc.bias": float32 (1000,), …}

A pickle is a program, so this reader executes only the four functions in `_ALLOWED`; any other one
is refused before it is called. Newer checkpoints are zip archives and are not read here.

Layout (torch/serialization.py, `_legacy_save`): five pickles, which are a magic number, the format
version, facts about the writer, the state dict with references to storages, and the keys of the
storages; then each storage as an int64 count followed by its numbers.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from seedbed.errors import WeightsError

Array = npt.NDArray[Any]

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def load(path: Path) -> dict[str, Array]:
    """The tensors of the state dict in a file, by name.

    Raises WeightsError for a file of another format, and for one that asks for any other function
    than those which make up a state dict.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream, path.stat().st_size)
    except Exception as error:  # a damaged pickle raises nearly anything
        reason = str(error) or type(error).__name__
        raise WeightsError(
            f"{path.name} is not a state dict in torch's legacy format: {reason}",
            hint="Install its package again.",
        ) from error


def _read(stream: IO[bytes], size: int) -> dict[str, Array]:
    # 1. The header.
    magic, version, facts = (_Reader(stream).load() for _ in range(3))
    if (magic, version) != (_MAGIC, _VERSION) or not facts["little_endian"]:
        raise ValueError("wrong magic number, version or byte order.")
    # 2. The state dict, whose tensors refer to storages that follow it.
    reader = _Reader(stream)
    tensors = reader.load()
    # 3. The storages, each as long as the state dict declares it.
    numbers = {}
    for key in _Reader(stream).load():
        storage = reader.storages[key]
        [count] = np.frombuffer(stream.read(8), "<i8")
        length = storage.count * storage.dtype.itemsize
        if count != storage.count or not 0 <= length <= size - stream.tell():
            raise ValueError("the file is truncated.")
        numbers[key] = stream.read(length)
    return {name: tensor.array(numbers) for name, tensor in tensors.items()}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, numbers: dict[str, bytes]) -> Array:
        dtype = self.storage.dtype
        strides = tuple(stride * dtype.itemsize for stride in self.strides)
        # numpy refuses a view that reaches beyond the buffer.
        view: Array = np.ndarray(
            self.shape,
            dtype,
            numbers[self.storage.key],
            self.offset * dtype.itemsize,
            strides,
        )
        return np.ascontiguousarray(view).reshape(self.shape)  # the former makes () into (1,)


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _Reader(pickle.Unpickler):
    """Unpickles with `_ALLOWED` only; `storages` collects the storages that tensors refer to."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}.") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count, view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or view is not None:
            raise pickle.UnpicklingError("unknown kind of storage.")
        return self.storages.setdefault(key, _Storage(key, dtype, int(count)))
