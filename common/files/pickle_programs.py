"""What a pickle would do, found out without doing it, so that torch's loader only meets programs known to be harmless.

A pickle is a program for a small stack machine. :class:`PickleProgram` follows it with stand-ins for every value: it
calls nothing, and it ends after a bounded number of operations. What torch's ``weights_only`` loader leaves open is
closed here: its time and memory follow the program, not the file (a call may ask for any amount; the hash of nested
tuples takes exponential time), and storages may be declared longer than they are.
"""

import io
import math
import pickletools
from dataclasses import dataclass

import torch

from ..errors import BetwixtError

MAX_OPERATIONS = 1_000_000  # 38 for a tensor; up to 200 bytes of memory each
MAX_BYTES = 32 << 20  # text takes up to four times its size in memory
SMALL_TENSOR = 1 << 20  # bytes; below, a tensor may be larger than its storage (expanded buffers)

# Packages of settings and statistics that training frameworks save beside the weights: replaced by inert objects.
IGNORED_PACKAGES = {
    "_codecs", "argparse", "collections", "datetime", "enum", "lightning", "lightning_fabric", "numpy", "omegaconf",
    "pathlib", "pytorch_lightning", "typing", "yacs",
}  # fmt: skip
# Plain types, likewise: as values they are written without their names.
IGNORED_TYPES = {"bool", "bytes", "dict", "float", "frozenset", "int", "list", "range", "slice", "str", "tuple"}
PYTHON_2_NAMES = {"long": "int", "unicode": "str", "xrange": "range"}
ITEM_SIZES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
    "ComplexDouble": 16, "ComplexFloat": 8, "Untyped": 1,
}  # fmt: skip
LATIN = ("latin1", "latin-1")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
ARGUMENTS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"}
WITHOUT_EFFECT = {"PROTO", "STOP", "FRAME", "MEMOIZE"}  # the last two: protocol 4, which ends at its first name


class ForbiddenPickle(BetwixtError):
    """A pickle asks for something that is neither a tensor nor plain data; ``name`` is what it asks for."""

    def __init__(self, name: str):
        super().__init__(
            f"It wants to use '{name}' while it is opened; this may be harmful code and was not run.",
            "Only files that hold tensors and plain settings are read.",
            "Get the file from the place named in the README's table, or as .safetensors.",
        )
        self.name = name


class DamagedPickle(Exception):
    """A pickle that no ``torch.save`` has written: damaged, or made to do harm."""


@dataclass(slots=True, eq=False)
class Name:
    """A class or function by its full name. ``foreign``: to be replaced by an inert object."""

    full: str
    foreign: bool


@dataclass(slots=True, eq=False)
class Value:
    """Any object but text, numbers and tuples, which stand for themselves.

    Attributes:
        kind: "list", "dict", "OrderedDict", "Counter", "storage", "tensor", ..., or the name of a foreign class.
        size: bytes, or entries.
        item_size: bytes per element of a storage or dtype.
        items: what a list holds, else None.
    """

    kind: str
    size: int = 0
    item_size: int = 1
    foreign: bool = False
    items: list | None = None


@dataclass
class Budget:
    """What is left of the operations and bytes that one file may take."""

    operations: int = MAX_OPERATIONS
    text: int = MAX_BYTES

    def take(self, operations: int = 0, text: int = 0) -> None:
        self.operations -= operations
        self.text -= text
        if self.operations < 0 or self.text < 0:
            raise DamagedPickle(f"more than {MAX_OPERATIONS} operations or {MAX_BYTES >> 20} MB beside the tensors")


class PickleProgram:
    """Follows one pickle up to its end.

    Args:
        stream: where the pickle begins; left where it ends. Not a file: it is read in any amounts the pickle names.
        budget: shared by the pickles of a file.
        storage_parts: length of a storage's persistent id, 5 or (in torch's format before 1.6) 6.

    Attributes:
        foreign: full names to be replaced by inert objects -> "object", "dict" or "list", as they are filled.
        storages: bytes by storage key, the largest that is asked for.
        result: the value it would return.

    Raises:
        ForbiddenPickle: it names anything but tensors, plain data and settings.
        DamagedPickle, IndexError, KeyError, ValueError, ...: it is damaged.
    """

    def __init__(self, stream: io.BytesIO, budget: Budget, storage_parts: int = 5):
        self.foreign: dict[str, str] = {}
        self.storages: dict[str | int, int] = {}
        self._budget, self._storage_parts = budget, storage_parts
        self._stack: list = []
        self._marks: list[list] = []
        self._memo: dict = {}
        for operation, argument, _ in pickletools.genops(stream):
            budget.take(1)
            self._step(operation.name, argument)
        self.result = self._stack.pop()

    def _step(self, name: str, argument) -> None:
        stack = self._stack
        if name in ARGUMENTS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "MARK":
            self._marks.append(stack)
            self._stack = []
        elif name == "TUPLE":
            items = self._to_mark()
            self._stack.append(tuple(items))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise DamagedPickle("too few values for a tuple")
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"):
            stack.append(Value(name[6:].lower(), items=[] if name == "EMPTY_LIST" else None))
        elif name == "GLOBAL":
            stack.append(self._named(argument))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._to_mark()
            self._append(self._stack[-1], items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._to_mark()
            self._set_items(self._stack[-1], items)
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            stack.append(self._call(called, arguments, name))
        elif name == "BUILD":
            self._build(stack.pop(), stack[-1])
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "STACK_GLOBAL":  # protocol 4: not read, but what it asks for is worth naming
            self._named(f"{stack[-2]} {stack[-1]}")
            raise DamagedPickle("pickle protocol 4; torch.save writes protocol 2")
        elif name not in WITHOUT_EFFECT:
            raise DamagedPickle(f"the operation {name}, which torch.save does not write")

    def _to_mark(self) -> list:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _named(self, argument: str) -> Name | Value:
        if argument.count(" ") != 1:
            raise DamagedPickle(f"the name {argument[:100]!r}")
        module, name = argument.split(" ")
        if module == "__builtin__":  # Python 2
            module, name = "builtins", PYTHON_2_NAMES.get(name, name)
        full = f"{module}.{name}"
        if full in CALLS:
            return Name(full, False)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return Value("dtype", item_size=getattr(torch, name).itemsize)
        if module in ("torch", "torch.storage") and name.removesuffix("Storage") in ITEM_SIZES:
            return Value("storage type", item_size=ITEM_SIZES[name.removesuffix("Storage")])
        ignored = module.partition(".")[0] in IGNORED_PACKAGES or (module == "builtins" and name in IGNORED_TYPES)
        if not ignored or "." in name:
            raise ForbiddenPickle(full)
        self.foreign.setdefault(full, "object")
        return Name(full, True)

    def _call(self, called, arguments, operation: str) -> Value:
        if not isinstance(called, Name) or type(arguments) is not tuple:
            raise DamagedPickle("a call of something that is no class or function")
        if called.foreign:
            return Value(called.full, foreign=True)
        if operation == "NEWOBJ" and (arguments or called.full != "collections.OrderedDict"):
            raise DamagedPickle(f"a call of {called.full} without its function")
        return CALLS[called.full](arguments, self._budget)

    def _build(self, state, target) -> None:
        plain = isinstance(target, Value) and target.kind == "OrderedDict" and _is(state, "dict")
        if not plain and not (isinstance(target, Value) and target.foreign):
            raise ForbiddenPickle(f"a changed state of {getattr(target, 'full', getattr(target, 'kind', 'a value'))}")

    def _append(self, target, items: list) -> None:
        if _is(target, "list"):
            target.items.extend(items)
        else:
            self._fill(target, "list")

    def _set_items(self, target, items: list) -> None:
        if len(items) % 2:
            raise DamagedPickle("a key without a value")
        for key in items[::2]:
            _require_key(key)
        if _is(target, "dict", "OrderedDict", "Counter"):
            target.size += len(items) // 2
        else:
            self._fill(target, "dict")

    def _fill(self, target, use: str) -> None:
        """A foreign object is used as a dict or list, so it is replaced by one."""
        if not isinstance(target, Value) or not target.foreign or self.foreign[target.kind] not in ("object", use):
            raise DamagedPickle("entries for something that holds none")
        self.foreign[target.kind] = use

    def _storage(self, parts) -> Value:
        if type(parts) is not tuple or len(parts) != self._storage_parts or parts[0] != "storage":
            raise ForbiddenPickle("an object by a persistent id that is no storage's")
        _, kind, key, location, elements = parts[:5]
        sound = _is(kind, "storage type") and type(key) in (str, int) and type(location) is str and _is_count(elements)
        if not sound:
            raise DamagedPickle("a storage without type, place or size")
        size = elements * kind.item_size
        self.storages[key] = max(size, self.storages.get(key, 0))
        view = parts[5] if len(parts) == 6 else None
        if view is not None:
            if type(view) is not tuple or len(view) != 3 or not (_is_count(view[1]) and _is_count(view[2])):
                raise DamagedPickle("a storage's part without begin or size")
            size = min(size, view[2] * kind.item_size)
        return Value("storage", size, kind.item_size)


def _is(value, *kinds: str) -> bool:
    return isinstance(value, Value) and not value.foreign and value.kind in kinds


def _is_count(value) -> bool:
    return type(value) is int and value >= 0


def _require_key(key) -> None:
    """Keys whose hash takes constant time and cannot be made to collide."""
    long = isinstance(key, int) and abs(key) >= 1 << 63
    if long or not (key is None or isinstance(key, (str, int, float, Name)) or _is(key, "dtype")):
        raise DamagedPickle("a key that is neither text nor number")


def _require(condition: bool, called: str) -> None:
    if not condition:
        raise DamagedPickle(f"a call of {called} with values that torch.save does not write")


def _ordered_dict(arguments: tuple, budget: Budget) -> Value:
    _require(not arguments or (len(arguments) == 1 and _is(arguments[0], "list")), "OrderedDict")
    pairs = arguments[0].items if arguments else []  # Python 2 writes the entries as a list of pairs
    budget.take(2 * len(pairs))
    for pair in pairs:
        pair = pair.items if _is(pair, "list") else pair
        _require(isinstance(pair, (list, tuple)) and len(pair) == 2, "OrderedDict")
        _require_key(pair[0])
    return Value("OrderedDict", len(pairs))


def _set(arguments: tuple, budget: Budget) -> Value:
    _require(len(arguments) == 1 and _is(arguments[0], "list"), "set")
    budget.take(2 * len(arguments[0].items))
    for item in arguments[0].items:
        _require_key(item)
    return Value("set")


def _counter(arguments: tuple, budget: Budget) -> Value:
    _require(len(arguments) == 1 and _is(arguments[0], "dict"), "Counter")
    budget.take(2 * arguments[0].size)
    return Value("Counter", arguments[0].size)


def _encode(arguments: tuple, budget: Budget) -> Value:
    _require(len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] in LATIN, "encode")
    budget.take(text=len(arguments[0]))
    return Value("bytes", len(arguments[0]))


def _bytearray(arguments: tuple, budget: Budget) -> Value:
    if len(arguments) == 2:
        return _encode(arguments, budget)
    _require(not arguments or (len(arguments) == 1 and _is(arguments[0], "bytes")), "bytearray")
    budget.take(text=arguments[0].size if arguments else 0)
    return Value("bytearray")


def _complex(arguments: tuple, budget: Budget) -> Value:
    _require(len(arguments) == 2 and all(isinstance(part, (int, float)) for part in arguments), "complex")
    return Value("complex")


def _size(arguments: tuple, budget: Budget) -> Value:
    _require(len(arguments) == 1 and type(arguments[0]) is tuple and all(map(_is_count, arguments[0])), "Size")
    budget.take(len(arguments[0]))
    return Value("Size")


def _device(arguments: tuple, budget: Budget) -> Value:
    kind, *index = arguments or (None,)
    _require(type(kind) is str and len(kind) < 32 and all(map(_is_count, index)), "device")
    return Value("device")


def _tensor(arguments: tuple, budget: Budget) -> Value:
    _require(len(arguments) >= 4, "_rebuild_tensor")
    storage, offset, sizes, strides, *rest = arguments
    _require(_is(storage, "storage") and _is_count(offset), "_rebuild_tensor")
    for numbers in (sizes, strides):
        _require(type(numbers) is tuple and len(numbers) <= 64 and all(map(_is_count, numbers)), "_rebuild_tensor")
    # requires_grad, hooks, and in version 3 the dtype
    kinds = ("OrderedDict", "dtype", "dict")
    _require(all(isinstance(value, bool) or value is None or _is(value, *kinds) for value in rest), "_rebuild_tensor")
    item_size = next((value.item_size for value in rest if _is(value, "dtype")), storage.item_size)
    # Every size as at least 1: torch multiplies them in 64 bits.
    claimed = math.prod(max(number, 1) for number in sizes) * item_size
    if claimed > max(storage.size, SMALL_TENSOR):
        raise DamagedPickle(f"a tensor of {claimed} bytes in a storage of {storage.size}")
    return Value("tensor")


def _parameter(arguments: tuple, budget: Budget) -> Value:
    _require(len(arguments) == 3 and _is(arguments[0], "tensor"), "_rebuild_parameter")
    _require(isinstance(arguments[1], bool) and _is(arguments[2], "OrderedDict"), "_rebuild_parameter")
    return Value("tensor")


# What may really be called, with a check of the arguments.
CALLS = {
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "builtins.set": _set,
    "builtins.bytearray": _bytearray,
    "builtins.complex": _complex,
    "_codecs.encode": _encode,
    "torch.Size": _size,
    "torch.device": _device,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
