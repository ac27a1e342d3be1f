"""Reads a file of torch.save without running any of its code.

Such a file is a zip with a pickle and the raw numbers of each tensor, and a
pickle can call whatever Python can import. This reader imports nothing that a
pickle names: a class of PyTorch's modules or of YOLOv5 becomes an `Object`
that only keeps its state, a tensor becomes a `Stored` that is read when asked
for, and any other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import reprlib
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MAX_PICKLE = 16 << 20  # bytes; the pickle of a YOLOv5x is under 1 MB, the numbers lie beside it

# What torch calls the storage of a type, and the type.
STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

# Packages whose classes are kept as their state. ultralytics holds some of YOLOv5's since 2022.
MODULES = ("models", "utils", "yolov5", "ultralytics", "__main__", "torch.nn.modules")

# Values that YOLOv5 leaves in a checkpoint and that say nothing of the network: scores, paths, devices.
IGNORED = {
    ("argparse", "Namespace"),
    ("torch", "Size"),
    ("torch", "device"),
    *(("torch", name) for name in ("float16", "float32", "float64", "bfloat16", "int64")),
    *(("pathlib", name) for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(("numpy", name) for name in ("dtype", "ndarray")),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    ("_codecs", "encode"),  # numpy's raw bytes
}


class UnsafeError(ValueError):
    """A pickle that would run code; the text names the file, what it would run, and --trust."""


class _Sealed:
    """What a pickle cannot give a state: otherwise it sets whatever attributes the file names."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise ValueError(f"gives a {type(self).__name__} attributes")


class Object:
    """An instance of a class that is not imported: origin is the class's module and name, state what was saved."""

    __slots__ = ("state",)
    origin = ("", "")
    calls = False  # whether the class may be called as a function is, which then does nothing

    def __new__(cls, *_: object) -> Object:
        made = super().__new__(cls)
        made.state = {}
        return made

    def __init__(self, *_: object):
        # reached by a call only; a saved object is made by __new__ and given its state
        if not self.calls:
            raise UnsafeError(".".join(self.origin))

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}

    @property
    def type(self) -> str:
        return self.origin[1]

    def get(self, name: str, default: object = None) -> Any:
        """Returns an attribute as getattr on a torch module would: from its state, parameters, buffers or modules."""
        for place in (self.state, *(self.state.get(key) for key in ("_parameters", "_buffers", "_modules"))):
            if isinstance(place, dict) and name in place:
                return place[name]
        return default

    def modules(self) -> dict[str, Any]:
        """Returns the modules right inside of this one by their names."""
        found = self.state.get("_modules")
        return found if isinstance(found, dict) else {}

    def tensors(self) -> dict[str, Stored]:
        """Returns the parameters and buffers right inside of this module by their names."""
        places = (self.state.get(key) for key in ("_parameters", "_buffers"))
        held = [place for place in places if isinstance(place, dict)]
        return {name: value for place in held for name, value in place.items() if isinstance(value, Stored)}


class _Dict(dict):
    """An OrderedDict, empty as it is saved, without the attributes that a pickle can give one."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass


@dataclass(slots=True)
class _Storage(_Sealed):
    archive: _Archive
    key: str
    dtype: torch.dtype


@dataclass(slots=True)
class Stored(_Sealed):
    """A tensor in the file; nothing of it has been read but its shape."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self) -> Tensor:
        """Returns the tensor. Raises ValueError where the file holds less than it claims."""
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        count = math.prod(self.shape)
        if not count:
            return torch.empty(self.shape, dtype=self.storage.dtype)
        content = bytearray(self.storage.archive.numbers(self.storage.key))
        size = torch.empty(0, dtype=self.storage.dtype).element_size()
        # a tensor with a stride of 0 can be larger than what it is made of
        if (need := max(last + 1, count) * size) > len(content):
            raise ValueError(f"holds {len(content)} bytes for a tensor that takes {need}")
        flat = torch.frombuffer(content, dtype=self.storage.dtype, count=len(content) // size)
        return torch.as_strided(flat, self.shape, self.strides, self.offset).clone()


class _Archive:
    """The zip of torch.save: data.pkl and data/0, data/1, ... in one folder. It stays open."""

    def __init__(self, path: Path):
        self.file = file = zipfile.ZipFile(path)
        found = [name for name in file.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(found) != 1:
            raise ValueError("is a zip, but not one of torch.save")
        self.folder = found[0].removesuffix("data.pkl")
        if f"{self.folder}constants.pkl" in file.namelist():
            raise ValueError("is TorchScript, which has no classes left to read: give the checkpoint it was made from")

    def pickle(self) -> bytes:
        return self._read("data.pkl", MAX_PICKLE)

    def numbers(self, key: str) -> bytes:
        return self._read(f"data/{key}")

    def _read(self, name: str, limit: float = math.inf) -> bytes:
        info = self.file.getinfo(self.folder + name)
        # torch.save does not compress: a file that unpacks to more than it is was not written by it
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            raise ValueError(f"has {name} compressed or encrypted, which torch.save does not do")
        if info.file_size > limit:
            raise ValueError(f"has a {name} of {info.file_size >> 20} MB, want at most {int(limit) >> 20}")
        return self.file.read(info)


def _tensor(storage: object, offset: object, shape: object, strides: object, *_: object) -> Stored:
    """torch's _rebuild_tensor and _rebuild_tensor_v2; requires_grad, hooks and metadata are left."""
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("has a tensor without numbers or shape")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and 0 <= n < 1 << 40 for n in numbers):
        shown = reprlib.repr((shape, strides, offset))  # which may be nested as deep as memory
        raise ValueError(f"has a tensor whose shape, strides and place are {shown}")
    return Stored(storage, offset, shape, strides)


def _parameter(data: object, *_: object) -> object:
    """torch's _rebuild_parameter and _rebuild_parameter_with_state."""
    return data


@dataclass(slots=True)
class _Function(_Sealed):
    """One of the functions above, as a pickle sees it: nothing but a call can be made of it."""

    run: Callable[..., object]

    def __call__(self, *arguments: object) -> object:
        return self.run(*arguments)


def _set(items: object = ()) -> set:
    if not isinstance(items, list):
        raise ValueError("has a set of something else than a list")
    return set(map(_key, items))


def _key(key: object) -> object:
    """Returns a key of a dict or set: Python takes the hash of a nested one by as many calls as it is deep."""
    if key is not None and type(key) not in (str, int, float, bool):
        raise ValueError(f"has a {type(key).__name__} as a key")
    return key


KNOWN: dict[tuple[str, str], object] = {
    ("builtins", "set"): _Function(_set),
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): _Function(_parameter),
    **{("torch", name): dtype for name, dtype in STORAGES.items()},
}


# the one written in Python: the other sizes its memo by the number that a file names, up to 64 GB
class _Unpickler(pickle._Unpickler):
    # Bytearrays are made as long as the file says before a byte of them is read; torch.save writes none of these.
    dispatch = {
        code: load
        for code, load in pickle._Unpickler.dispatch.items()
        if code not in (pickle.BYTEARRAY8[0], pickle.NEXT_BUFFER[0], pickle.READONLY_BUFFER[0], pickle.FROZENSET[0])
    }

    def load_setitem(self) -> None:
        _key(self.stack[-2])
        super().load_setitem()

    def load_setitems(self) -> None:
        for key in self.stack[::2]:
            _key(key)
        super().load_setitems()

    def load_additems(self) -> None:
        for item in self.stack:
            _key(item)
        super().load_additems()

    def load_dict(self) -> None:
        for key in self.stack[::2]:
            _key(key)
        super().load_dict()

    dispatch |= {
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.ADDITEMS[0]: load_additems,
        pickle.DICT[0]: load_dict,
    }

    def __init__(self, archive: _Archive, trust: bool):
        super().__init__(io.BytesIO(archive.pickle()))
        self.archive = archive
        self.trust = trust
        self.classes: dict[tuple[str, str], type[Object]] = {}

    def find_class(self, module: str, name: str) -> object:
        module = {"__builtin__": "builtins", "copy_reg": "copyreg"}.get(module, module)
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        ignored = (module, name) in IGNORED
        # a dotted name goes on from a class or module to whatever that holds
        if ignored or (name.isidentifier() and any(f"{module}.".startswith(f"{top}.") for top in MODULES)):
            calls = ignored or self.trust
            made = type(name, (Object,), {"__slots__": (), "origin": (module, name), "calls": calls})
            return self.classes.setdefault((module, name), made)
        if not self.trust:
            raise UnsafeError(f"{module}.{name}")
        return super().find_class(module, name)

    def persistent_load(self, pid: object) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 3 or pid[0] != "storage":
            raise ValueError("refers to something that torch.save does not write")
        _, dtype, key = pid[:3]
        if not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise ValueError("has numbers of a type that no YOLOv5 has")
        return _Storage(self.archive, key, dtype)


def load(path: Path, trust: bool = False) -> Any:
    """Returns what torch.save wrote to a file, with an `Object` for each object and a `Stored` for each tensor.

    With trust, names that are not PyTorch's or YOLOv5's are imported and called
    as the file says. Raises OSError where the file cannot be read, UnsafeError
    where it would run code, and ValueError where it is no checkpoint.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is not a file: give the checkpoint that train.py writes, such as best.pt")
    try:
        return _Unpickler(_Archive(path), trust).load()
    except UnsafeError as error:
        fused = str(error) == "builtins.getattr"
        hint = "; a model after fuse() does that, and one for segmentation" if fused else ""
        raise UnsafeError(
            f"{path} would run {error} when it is loaded{hint}; give --trust if you trust where the file comes from"
        ) from None
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path} is damaged, or not a checkpoint of PyTorch 1.6 or newer ({error}):"
            " copy it again, or load it with the PyTorch that wrote it and torch.save it with a newer one"
        ) from error
    except OSError:
        raise
    except Exception as error:  # whatever a damaged pickle makes the reader stumble over
        cause = "its own code failed, or it is damaged" if trust else "it is damaged, or not a checkpoint of torch.save"
        raise ValueError(f"{path} {describe(error)}: {cause}") from error


def describe(error: Exception) -> str:
    """Returns what is wrong with a file, as the end of a sentence that begins with its name."""
    return str(error) if type(error) is ValueError else f"cannot be read ({type(error).__name__}: {error})"
