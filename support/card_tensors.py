"""Tensors that claim to be on a CUDA card and compute on the processor, watched for what a card would refuse or be
slowed down by.

A tensor of class :class:`OnCard` holds an ordinary one. Values are the processor's, rounding included: wrong numbers of
CUDA are not found, but

- tensors of both sides in one operation, single values and indices aside; generators of the wrong side; operations and
  types that CUDA has no kernel for: all raise;
- copies and waits of the processor for the card: counted by the line that asks for them (:func:`counted`);
- streams that read, overwrite or free what another one may still be at: collected in ``Card.races``.

:mod:`support.simulated_cuda` makes PyTorch hand them out.
"""

import contextlib
import functools
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator

import torch

from support.card_calls import CHOOSING, INDEXED, asked_by, innermost, of_the_pack, why_waiting
from support.stream_clocks import Streams

CARD, PROCESSOR = torch.device("cuda:0"), torch.device("cpu")
GIB = 2**30
FLOATS_ONLY = {"mm", "addmm", "bmm", "baddbmm", "addmv", "addmv_", "mv", "dot", "convolution", "avg_pool2d"}
FLOATS_ONLY |= {"max_pool2d_with_indices", "_adaptive_avg_pool2d", "upsample_bilinear2d", "_upsample_bilinear2d_aa"}
FLOATS_ONLY |= {"upsample_bicubic2d", "_upsample_bicubic2d_aa", "reflection_pad2d", "replication_pad2d", "im2col"}
FLOATS_ONLY |= {"reflection_pad1d", "replication_pad1d", "replication_pad3d", "grid_sampler_2d", "_softmax", "col2im"}
FLOATS_ONLY |= {"native_layer_norm", "native_group_norm"}
WHOLE = ("aten::scaled_dot_product_attention",)  # composed, but one kernel of the card
NO_LAUNCH = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_local_scalar_dense", "detach"}
NO_KERNEL = {"histogram", "histogramdd"}


class Card:
    """What there is of the card: memory in use, streams, and what has happened."""

    total = 80 * GIB
    used, peak = 0, 0
    operations, launches = 0, 0  # the second without views and empty memory
    lines: Counter | None = None  # line that asked, the host's too -> launches, where they are wanted
    happened: Counter = Counter()  # (kind, line that asked) -> times
    races: Counter = Counter()
    streams = Streams()
    pinned: dict = {}
    generators: set = set()
    lock = threading.RLock()

    @classmethod
    def note(cls, kind: str) -> None:
        cls.happened[kind, asked_by()] += 1


class _Storage:
    """A tensor's share of a piece of memory of the card; the last share to go frees it."""

    shares: Counter = Counter()
    used_by: dict = {}  # key -> {stream: moment of its last use}
    written: dict = {}  # key -> (stream, moment)
    home: dict = {}  # key -> the stream it was made on
    recorded: dict = defaultdict(set)

    def __init__(self, key: int, size: int):
        self.key, self.size = key, size
        with Card.lock:
            self.shares[key] += 1
            if self.shares[key] > 1:
                return
            if Card.used + size > Card.total:
                del self.shares[key]
                self.key = None
                raise torch.OutOfMemoryError(f"simulated: {size} bytes wanted, {Card.used} of {Card.total} in use")
            Card.used += size
            Card.peak = max(Card.peak, Card.used)
            self.home[key], self.used_by[key] = Card.streams.current_stream(), {}

    def __del__(self):
        if self.key is None:
            return
        with Card.lock:
            self.shares[self.key] -= 1
            if self.shares[self.key]:
                return
            del self.shares[self.key]
            Card.used -= self.size
            home, kept = self.home.pop(self.key), self.recorded.pop(self.key, ())
            for stream, moment in self.used_by.pop(self.key).items():
                if stream is not home and stream not in kept and home.clock[stream] < moment:
                    Card.races["freed while another stream may be at it, which 'record_stream' would prevent"] += 1
            self.written.pop(self.key, None)


class OnCard(torch.Tensor):
    """Claims to be on the card, holds a tensor of the processor."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CARD,
            requires_grad=held.requires_grad,
        )
        storage = held.untyped_storage()
        made.held, made.storage_share = held, _Storage(storage._cdata, storage.nbytes())
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, kinds, args=(), kwargs=None):
        if _composed(operation):  # in inference mode these come whole
            return operation.decompose(*args, **(kwargs or {}))
        return computed(operation, *args, **(kwargs or {}))

    def __repr__(self, **_):
        return f"OnCard({self.held!r})"

    def tolist(self):
        return self.cpu().tolist()

    def new_tensor(self, data, dtype=None, device=None, **_):
        return torch.tensor(data, dtype=dtype or self.dtype).to(device or CARD)

    def record_stream(self, stream):
        _Storage.recorded[self.storage_share.key].add(stream)


_COMPOSED: dict = {}


def _composed(operation) -> bool:
    if operation not in _COMPOSED:
        key, name = "CompositeImplicitAutograd", operation.name()
        _COMPOSED[operation] = name not in WHOLE and torch._C._dispatch_has_kernel_for_dispatch_key(name, key)
    return _COMPOSED[operation]


def _tensors(values, found: list) -> list:
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            _tensors(value, found)
    return found


def _each(value, change):
    """``value`` with all tensors in it, in lists and tuples too, changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_each(one, change) for one in value)
    return value


def _held(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.held if isinstance(tensor, OnCard) else tensor


def _refuse(operation, why: str):
    raise RuntimeError(f"simulated CUDA, {operation}: {why} (at {asked_by()})")


def _check(operation, name: str, tensors: list, args, kwargs) -> None:
    ours = [tensor for tensor in tensors if isinstance(tensor, OnCard)]
    others = [tensor for tensor in tensors if not isinstance(tensor, OnCard)]
    if name in INDEXED:
        _check_indices(operation, name, args)
    elif ours and others and name not in ("copy_", "_copy_from"):
        single = torch.Tag.pointwise in operation.tags or name in ("fill_", "masked_fill_")
        if not single or any(tensor.dim() for tensor in others):
            _refuse(operation, f"tensors of both sides: {[(tuple(t.shape), str(t.device)) for t in tensors]}")
    generator = kwargs.get("generator")
    if generator is not None and ours and generator._cdata not in Card.generators:
        _refuse(operation, "a generator of the processor for a tensor of the card")
    if ours and (name in NO_KERNEL or (name in FLOATS_ONLY and not any(t.is_floating_point() for t in ours))):
        _refuse(operation, f"no kernel for {[str(tensor.dtype) for tensor in ours]}")


def _check_indices(operation, name: str, args) -> None:
    for index in args[1]:
        if index is None:
            continue
        if isinstance(index, OnCard) and not isinstance(args[0], OnCard):
            _refuse(operation, "indices of the card for a tensor of the processor")
        choosing = index.dtype in CHOOSING  # noted as a wait
        if isinstance(args[0], OnCard) and not (isinstance(index, OnCard) or choosing) and index.dim():
            Card.note("to card, wait: indices")
    if len(args) > 2 and isinstance(args[2], OnCard) != isinstance(args[0], OnCard) and args[2].dim():
        _refuse(operation, "values and tensor of different sides")


def computed(operation, *args, **kwargs):
    """An operation with tensors of the card, or a factory of one."""
    Card.operations += 1
    name = operation._schema.name.split("::")[1]
    if name == "_has_compatible_shallow_copy_type":
        return False
    tensors = _tensors(kwargs.values(), _tensors(args, []))
    if any(tensor.device.type == "cuda" and not isinstance(tensor, OnCard) for tensor in tensors):
        _refuse(operation, "a tensor that lost its class")
    _check(operation, name, tensors, args, kwargs)
    waited = why_waiting(name, args, kwargs)
    if waited is not None and any(isinstance(tensor, OnCard) for tensor in tensors):
        Card.note(f"wait: {waited}")
    target = kwargs.get("device")
    to_processor = target is not None and torch.device(target).type == "cpu"
    if target is not None:
        kwargs["device"] = torch.device(target) if torch.device(target).type == "meta" else PROCESSOR
    kwargs.pop("pin_memory", None)
    if name == "copy_" and isinstance(args[0], OnCard) != isinstance(args[1], OnCard):
        waits = not (len(args) > 2 and args[2])
        Card.note(("to" if isinstance(args[0], OnCard) else "from") + " card" + (", wait" if waits else ""))
    elif name == "_to_copy" and to_processor:
        Card.note("from card, wait")
    ours = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OnCard)}
    out = operation(*_each(args, _held), **{key: _each(value, _held) for key, value in kwargs.items()})
    away = to_processor or (name == "copy_" and not isinstance(args[0], OnCard))

    def returned(tensor: torch.Tensor) -> torch.Tensor:
        mine = ours.get(id(tensor))
        if mine is None:
            return tensor if away or tensor.is_meta else OnCard(tensor)
        if mine.shape != tensor.shape or mine.stride() != tensor.stride():
            _refuse(operation, "not simulated: a shape changed in place")
        return mine

    result = _each(out, returned)
    view, written = _effect(operation)
    if not view and name not in NO_LAUNCH:
        Card.launches += 1
        if Card.lines is not None:
            Card.lines[innermost()] += 1
    if not view:
        _order([args[place] for place in written if place < len(args)], tensors, result)
    return result


@functools.cache
def _effect(operation) -> tuple[bool, list[int]]:
    """Whether it only looks at memory in another way, and which arguments it writes to."""
    aliases = [returned.alias_info for returned in operation._schema.returns]
    view = bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)
    return view, [place for place, argument in enumerate(operation._schema.arguments) if argument.is_write]


def _order(written: list, tensors: list, result) -> None:
    """Note races of an operation on its stream with others."""
    stream = Card.streams.current_stream()
    now = stream.operate()
    if not Card.streams.made:
        return  # there is nothing to race with
    changed = {_key(value) for value in written if isinstance(value, torch.Tensor)}
    read = {_key(tensor) for tensor in tensors}
    with Card.lock:
        for key in read:
            by, moment = _Storage.written.get(key, (stream, 0))
            if by is not stream and stream.clock[by] < moment:
                Card.races[f"read while another stream may still write, {asked_by()}"] += 1
        made = {_key(tensor) for tensor in _tensors((result,), []) if isinstance(tensor, OnCard)} - read
        for key in changed:
            for other, moment in _Storage.used_by.get(key, {}).items():
                if other is not stream and stream.clock[other] < moment:
                    Card.races[f"overwritten while another stream may still read, {asked_by()}"] += 1
        for key in changed | made:
            _Storage.written[key] = (stream, now)
        for key in read | made:
            if key in _Storage.used_by:
                _Storage.used_by[key][stream] = now


def _key(tensor: torch.Tensor):
    """Of a tensor's memory."""
    return tensor.storage_share.key if isinstance(tensor, OnCard) else tensor.untyped_storage()._cdata


@contextlib.contextmanager
def counted() -> Iterator[Counter]:
    """(kind, line that asked) -> how often inside: kinds begin with "to card", "from card" or "wait", and hold "wait"
    where the processor waits until the card has done all it was given."""
    before, inside = Counter(Card.happened), Counter()
    yield inside
    inside.update(Card.happened - before)


def waits(happened: Counter) -> Counter:
    """Those of :func:`counted` at which the processor waits for the card."""
    return Counter({key: times for key, times in happened.items() if "wait" in key[0]})


def own(happened: Counter) -> Counter:
    """Those of :func:`counted` that a line of the pack itself asked for."""
    return Counter({key: times for key, times in happened.items() if of_the_pack(key[1])})
