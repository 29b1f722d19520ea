"""A CUDA card that is not there: PyTorch of this process believes in it, and its tensors compute on the processor.

``install()`` before ComfyUI is imported, or ``python -m pytest -p support.simulated_cuda tests/simulated``. Factories
come here by a fallback for CUDA's dispatch key, everything else by the tensors' own class (:mod:`support.card_tensors`,
which says what is found and counted), in all threads.
"""

import ctypes
import functools
import types
from collections import defaultdict
from pathlib import Path

import torch
import torch._dynamo  # ComfyUI's libraries import it, and it wants torch.cuda as it is

from support.card_tensors import CARD, Card, OnCard, computed
from support.stream_clocks import Stream

aten = torch.ops.aten
CUDA, META = 1, 14  # of c10::DeviceType
# Factories that resize the tensor they are given: they need a new one.
RESIZING = ("arange", "arange.start", "arange.start_step", "linspace", "logspace", "eye", "eye.m", "randperm")
RESIZING += ("randperm.generator", "range", "range.step")


class _Generator(torch.Generator):
    """A generator of the card with the processor's numbers."""

    device = CARD


class _GeneratorName(type):
    """``torch.Generator``: makes either kind and knows both."""

    def __call__(cls, device="cpu"):
        if torch.device(device).type != "cuda":
            return _REAL["Generator"](device)
        made = _Generator()
        _KEPT.append(made)
        Card.generators.add(made._cdata)
        return made

    def __instancecheck__(cls, instance):
        return isinstance(instance, _REAL["Generator"])


_REAL: dict = {}
_KEPT: list = []


class _Stream(Stream):
    def __init__(self, device=None, priority=0, **_):
        super().__init__(device)
        self.device = CARD
        Card.streams.made.append(self)

    def synchronize(self):
        Card.note("wait: a stream")

    def query(self):
        return True


def _properties(*_):
    names = {"name": "Simulated", "total_memory": Card.total, "major": 9, "minor": 0, "multi_processor_count": 132}
    return types.SimpleNamespace(**names, gcnArchName="", warp_size=32)


def _statistics(*_, **__):
    return defaultdict(int, {f"{kind}_bytes.all.current": Card.used for kind in ("active", "reserved", "allocated")})


def _nothing(*_, **__):
    return None


def _guard_the_card() -> None:
    """Let CUDA have the meta device's guard, which does nothing: without one PyTorch refuses the device."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    guards = (ctypes.c_void_p * (META + 1)).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    guards[CUDA] = guards[META]


def install() -> None:
    """Make PyTorch of this process believe in one CUDA card."""
    if _KEPT:
        return
    _guard_the_card()
    fallback, explicit = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    fallback.fallback(computed, "CUDA")
    for name in (*RESIZING, "copy_"):
        packet, _, overload = name.partition(".")
        operation = getattr(getattr(aten, packet), overload or "default")
        explicit.impl(name, lambda *args, _of=operation, **kwargs: computed(_of, *args, **kwargs), "CUDA")
    _KEPT.extend((fallback, explicit))
    streams = Card.streams
    known = {
        "_lazy_init": _nothing,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: CARD,
        "set_device": _nothing,
        "get_device_properties": _properties,
        "get_device_name": lambda *_: "Simulated",
        "get_device_capability": lambda *_: (9, 0),
        "mem_get_info": lambda *_: (Card.total - Card.used, Card.total),
        "memory_stats": _statistics,
        "memory_allocated": lambda *_: Card.used,
        "memory_reserved": lambda *_: Card.used,
        "max_memory_allocated": lambda *_: Card.peak,
        "max_memory_reserved": lambda *_: Card.peak,
        "reset_peak_memory_stats": lambda *_: setattr(Card, "peak", Card.used),
        "synchronize": lambda *_: Card.note("wait: torch.cuda.synchronize"),
        "empty_cache": _nothing,
        "ipc_collect": _nothing,
        "is_bf16_supported": lambda *_, **__: True,
        "get_allocator_backend": lambda: "simulated",
        "set_per_process_memory_fraction": _nothing,
        "Stream": _Stream,
        "stream": streams.stream,
        "current_stream": streams.current_stream,
        "default_stream": lambda *_: streams.computing,
        "manual_seed": _nothing,
        "manual_seed_all": _nothing,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": _nothing,
        "is_current_stream_capturing": lambda: False,
        "cudart": lambda: types.SimpleNamespace(cudaHostRegister=lambda *_: 0, cudaHostUnregister=lambda *_: 0),
    }
    for name, value in known.items():
        setattr(torch.cuda, name, value)
    torch.version.cuda = "13.0"
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # ``parameter.data = ...`` cannot change class
    _REAL["Generator"], torch.Generator = torch.Generator, _GeneratorName("Generator", (), {})
    _make_factories_know_the_card()


def _make_factories_know_the_card() -> None:
    """Those that do not come by the dispatcher, and page-locked memory."""
    empty = torch.empty

    def pinned(tensor: torch.Tensor) -> torch.Tensor:
        Card.pinned[tensor.untyped_storage()._cdata] = tensor.untyped_storage()  # kept: keys are not used again
        return tensor

    def empty_or_pinned(*args, pin_memory=False, **kwargs):
        made = empty(*args, **kwargs)
        return pinned(made) if pin_memory else made

    torch.empty = empty_or_pinned
    torch.Tensor.pin_memory = lambda self, device=None: pinned(self.clone())
    torch.Tensor.is_pinned = lambda self, device=None: self.untyped_storage()._cdata in Card.pinned
    for name in ("tensor", "as_tensor"):
        setattr(torch, name, functools.partial(_from_data, getattr(torch, name)))


def _from_data(real, data, *args, device=None, **kwargs):
    data = _numbers(data) if isinstance(data, (list, tuple)) else data
    if device is None or torch.device(device).type != "cuda":
        return real(data, *args, **({} if device is None else {"device": device}), **kwargs)
    return (data if isinstance(data, OnCard) else real(data, *args, **kwargs)).to(CARD, kwargs.get("dtype"))


def _numbers(data):
    """With the values of single tensors of the card, for which the processor waits, in place of them."""
    if isinstance(data, (list, tuple)):
        return [_numbers(value) for value in data]
    return data.item() if isinstance(data, OnCard) and not data.dim() else data


def pytest_load_initial_conftests():
    """As a plug-in of pytest: before it looks for tests."""
    install()
