"""Reading weight files that torch wrote, without ever running what is in them."""

import io
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping

import torch
from safetensors import safe_open

from ..errors import BetwixtError
from .file_hash import sha256_of
from .foreign_files import refuse_other_files
from .pickle_programs import MAX_BYTES, Budget, DamagedPickle, ForbiddenPickle, PickleProgram
from .torch_archive import ZIP, read_program

LEGACY_PICKLES = 5  # magic number, version, system, contents, keys of the storages that follow
LEGACY_PARTS = 6  # of a storage's persistent id
MAX_DEPTH = 64
# torch's own files carry the begin of their SHA-256 before the extension; a date has digits only.
HASHED_NAME = re.compile(r"-(?=\d*[a-f])([0-9a-f]{8,64})\.[A-Za-z]+$")

_allowlist = threading.RLock()  # torch's list of safe names is one for the process


def read_torch_file(path: str, mapped: bool = False) -> dict:
    """Contents of a file written by ``torch.save``, whatever data or settings lie beside the tensors.

    The pickle is followed by :class:`.PickleProgram` first; then torch's ``weights_only`` loader reads the file, with
    inert objects for exactly the foreign classes that it names. The result holds plain containers, plain values and
    detached tensors only. Memory and time follow the file's size.

    Args:
        mapped: leave the tensors in the file until they are used; without effect in torch's format before 1.6.

    Raises:
        BetwixtError: no weight file, damaged, truncated, not the file that the hash in its name belongs to, or a
            pickle that holds code.
    """
    name = os.path.basename(path)
    try:
        refuse_other_files(path)
        verify_named_hash(path)
        zipped, foreign = _checked(path)
        with _inert(foreign):
            contents = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and zipped)
        contents = _plain(contents, {}, 0)
    except ForbiddenPickle as error:
        raise BetwixtError(
            f"'{name}' wants to use '{error.name}' while it is opened; this may be harmful code and was not run.",
            error.allowed,
            f"Get the file from the place named in the README's table, or as .safetensors: {path}",
        ) from error
    except BetwixtError:
        raise
    except Exception as error:
        raise unreadable(path, error) from error
    if not isinstance(contents, dict):
        raise BetwixtError(
            f"'{name}' holds a {type(contents).__name__} instead of named tensors.",
            "A weight file maps names to tensors.",
            f"Choose another file: {path}",
        )
    return contents


def check_safetensors(path: str) -> None:
    """Check the header of a .safetensors file against the file, whichever reader takes it then.

    Raises:
        BetwixtError: no such file, damaged, truncated, or not the file that the hash in its name belongs to.
    """
    try:
        refuse_other_files(path)
        verify_named_hash(path)
        with safe_open(path, framework="pt"):
            pass
    except BetwixtError:
        raise
    except Exception as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: Exception) -> BetwixtError:
    """The error for a weight file that a reader gave up on."""
    reason = (str(error).strip() or "no further reason").split("\n")[0][:200].rstrip(".")
    return BetwixtError(
        f"'{os.path.basename(path)}' could not be read as a weight file ({type(error).__name__}: {reason}).",
        "It must be a complete .safetensors file or a PyTorch file that holds tensors only.",
        f"Download it again and compare its size with the one in the README's table: {path}",
    )


def verify_named_hash(path: str) -> None:
    """Compare a file with the SHA-256 whose begin its name carries, as in ``gmflow_sintel-0c07dcb3.pth``.

    Raises:
        BetwixtError: they differ.
    """
    name = os.path.basename(path)
    found = HASHED_NAME.search(name)
    if not found:
        return
    actual = sha256_of(path)
    if not actual.startswith(found[1]):
        raise BetwixtError(
            f"'{name}' is damaged or another file: its SHA-256 begins with {actual[: len(found[1])]}.",
            f"According to its name it begins with {found[1]}.",
            f"Download it again, or rename it if it is your own: {path}",
        )


def _checked(path: str) -> tuple[bool, dict[str, str]]:
    """Follow the file's pickles; whether it is a zip archive, and the foreign names in it with their use."""
    with open(path, "rb") as file:
        start = file.read(len(ZIP))
    if start == ZIP:
        data, sizes = read_program(path, MAX_BYTES)
        program = PickleProgram(io.BytesIO(data), Budget())
        for key, size in program.storages.items():
            room = sizes.get(key, -1) if isinstance(key, str) else -1
            if size > room:
                raise DamagedPickle(f"a storage of {size} bytes in an entry of {max(room, 0)}")
        return True, program.foreign
    return False, _checked_legacy(path)


def _checked_legacy(path: str) -> dict[str, str]:
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        stream = io.BytesIO(file.read(min(size, MAX_BYTES)))
    budget = Budget()
    *before, contents, keys = (PickleProgram(stream, budget, LEGACY_PARTS) for _ in range(LEGACY_PICKLES))
    named = keys.result.items if getattr(keys.result, "kind", None) == "list" else None
    if named is None or len(named) != len(contents.storages) or set(named) != set(contents.storages):
        raise DamagedPickle("another list of storages than the tensors refer to")
    if stream.tell() + sum(8 + length for length in contents.storages.values()) > size:
        raise DamagedPickle("tensors of more bytes than the file has")
    if any(program.storages for program in (*before, keys)):
        raise DamagedPickle("tensors outside the contents")
    uses: dict[str, str] = {}
    for program in (*before, contents, keys):
        uses |= program.foreign
    return uses


class _Inert:
    """Accepts what a pickle does to an object and keeps nothing."""

    __slots__ = ()

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass


class _InertDict(_Inert):
    """For classes whose objects are filled like a dict: torch's loader fills exactly dict and OrderedDict."""

    __slots__ = ()

    def __new__(cls, *args, **kwargs):
        return OrderedDict()


class _InertList(_Inert):
    __slots__ = ()

    def __new__(cls, *args, **kwargs):
        return []


class _inert:
    """Within it, torch's loader knows these foreign names and nothing else by them.

    ``torch.serialization.safe_globals`` adds only; a real class that the host has allowed under one of the names is
    put aside meanwhile.
    """

    def __init__(self, foreign: Mapping[str, str]):
        bases = {"object": _Inert, "dict": _InertDict, "list": _InertList}
        self._classes = []
        for full, use in foreign.items():
            module, _, name = full.rpartition(".")
            content = {"__slots__": (), "__module__": module, "__qualname__": name}
            self._classes.append(type(name, (bases[use],), content))
        self._names = set(foreign)

    def __enter__(self):
        _allowlist.acquire()
        known = torch.serialization.get_safe_globals()
        self._aside = [entry for entry in known if _known_as(entry) in self._names]
        self._replace([entry for entry in known if entry not in self._aside] + self._classes)

    def __exit__(self, *error):
        known = torch.serialization.get_safe_globals()
        self._replace([entry for entry in known if entry not in self._classes] + self._aside)
        _allowlist.release()

    @staticmethod
    def _replace(entries: list) -> None:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(entries)


def _known_as(entry) -> str:
    if isinstance(entry, tuple):
        return entry[1]
    return f"{entry.__module__}.{entry.__qualname__}"


def _plain(value, seen: dict, depth: int):
    """A copy of the containers, with detached tensors and without the attributes that any of them may carry."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if not isinstance(value, (dict, list, tuple)):
        return value
    if depth > MAX_DEPTH:
        raise DamagedPickle(f"containers within containers, more than {MAX_DEPTH} deep")
    if id(value) not in seen:
        seen[id(value)] = None  # until it is complete
        if isinstance(value, dict):
            seen[id(value)] = {key: _plain(item, seen, depth + 1) for key, item in dict.items(value)}
        else:
            kind = list if isinstance(value, list) else tuple
            seen[id(value)] = kind(_plain(item, seen, depth + 1) for item in value)
    if seen[id(value)] is None:
        raise DamagedPickle("a container that contains itself")
    return seen[id(value)]
