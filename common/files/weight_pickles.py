"""Weight files as files: recognising what is none, and reading pickled ones without running what is in them."""

import os
import pickle
import re
import tarfile
import types
import zipfile
from collections import OrderedDict

import torch
from torch import _utils as torch_rebuild

from ..errors import BetwixtError

# What a pickle may really build, beside torch's storages and dtypes.
BUILT = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor"): torch_rebuild._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch_rebuild._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch_rebuild._rebuild_parameter,
    **{
        (module, plain.__name__): plain
        for module in ("builtins", "__builtin__")
        for plain in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, range, set, slice, str, tuple)
    },
}
# Packages of settings and statistics that training frameworks save beside the weights: replaced by empty objects.
IGNORED_PACKAGES = {
    "_codecs", "argparse", "collections", "datetime", "enum", "lightning", "lightning_fabric", "numpy", "omegaconf",
    "pathlib", "pytorch_lightning", "typing", "yacs",
}  # fmt: skip


class ForbiddenPickle(pickle.UnpicklingError):
    """A pickle asks for something that is neither a tensor nor plain data; ``name`` is what it asks for."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


class _Ignored:
    """Stands for an object of an ignored package: accepts whatever a pickle does to it and keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


class _TensorUnpickler(pickle.Unpickler):
    """Builds tensors and plain containers only."""

    def find_class(self, module, name):
        if (module, name) in BUILT:
            return BUILT[module, name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module.partition(".")[0] in IGNORED_PACKAGES and "." not in name:
            return _Ignored
        raise ForbiddenPickle(f"{module}.{name}")


def _load(file, **options):
    return _TensorUnpickler(file, **options).load()


def read_tensors(path: str, mapped: bool = False):
    """Contents of a file written by ``torch.save``, whatever data or settings lie beside the tensors.

    ``mapped``: leave the tensors in the file until they are used; not for files in torch's format before 1.6.

    Objects of :data:`IGNORED_PACKAGES` come back empty; nothing outside :data:`BUILT` is ever called.

    Raises:
        ForbiddenPickle: the file asks for anything else.
        RuntimeError, EOFError, pickle.UnpicklingError, ...: it is damaged.
    """
    restricted = types.SimpleNamespace(__name__=__name__, Unpickler=_TensorUnpickler, load=_load)
    # torch refuses an own unpickler with weights_only=True; this one allows less than torch's does.
    return torch.load(path, map_location="cpu", weights_only=False, pickle_module=restricted, mmap=mapped)


def refuse_other_files(path: str) -> None:
    """Recognise by their first bytes the things that end up under a weight file's name.

    Raises:
        BetwixtError: the file is none that weights can be read from; says what it is.
    """
    kind, remedy = _foreign_kind(path)
    if kind:
        raise BetwixtError(
            f"'{os.path.basename(path)}' is {kind}.",
            "A complete .safetensors file or a PyTorch file that holds tensors only is needed.",
            f"{remedy}: {path}",
        )


def _foreign_kind(path: str) -> tuple[str | None, str]:
    """What else the file is, or None, and what to do about it."""
    size, again = os.path.getsize(path), "Download the file again"
    with open(path, "rb") as file:
        head = file.read(4096)
    named_safetensors = path.lower().endswith((".safetensors", ".sft"))
    if size == 0:
        return "empty", again
    if not head.strip(b"\0"):
        return "filled with zeros (an interrupted download)", again
    if head.lstrip()[:1] == b"<":
        return "a web page, not the file it is named after", again
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself", "Download the file itself, or run 'git lfs pull'"
    if re.match(rb"\x08.[\x12\x1a\x2a\x3a\x42]", head, re.DOTALL):  # ir_version, then producer, graph or opset
        return "an ONNX model", "Choose the PyTorch file"
    if head[:4] == b"GGUF":
        return "a GGUF file", "Choose the unquantised file"
    if not named_safetensors and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "a safetensors file under another ending", "Rename it so that it ends in .safetensors"
    if named_safetensors and head[:2] in (b"PK", b"\x80\x02"):
        return "a PyTorch file under a safetensors name", "Rename it so that it ends in .pth"
    if head[:2] == b"\x1f\x8b" or (not named_safetensors and tarfile.is_tarfile(path)):
        return "an archive", "Unpack it and choose the weight file inside"
    return _foreign_zip(path)


def _foreign_zip(path: str) -> tuple[str | None, str]:
    """As :func:`_foreign_kind` for what zip archives can be; a damaged one passes, for the reader to complain about."""
    if not zipfile.is_zipfile(path):
        return None, ""
    with zipfile.ZipFile(path) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        return "a TorchScript program, which holds code", "Choose the file with the weights alone"
    if "data.pkl" not in names:
        return "a zip archive", "Unpack it and choose the weight file inside"
    return None, ""
