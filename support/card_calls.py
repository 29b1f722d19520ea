"""Of an operation on a card: whether the processor waits for it, and which line asked for it. Both simulations of a
card, :mod:`support.simulated_card` and :mod:`support.card_tensors`, ask here."""

import functools
import os
import sys

import torch

from support.bootstrap import ROOT as CHECKOUT

ROOT = str(CHECKOUT)
TOOLS = (os.path.realpath(os.path.dirname(torch.__file__)), os.path.realpath(os.path.dirname(__file__)))
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}
WAITING |= {"bincount", "equal", "is_nonzero", "_linalg_eigh", "linalg_inv_ex", "_linalg_solve_ex"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
CHOOSING = (torch.bool, torch.uint8)  # index tensors of these types are masks


def why_waiting(name: str, args, kwargs) -> str | None:
    """What the processor waits for in operation ``name`` of the card, without copies; None if it does not."""
    if name in WAITING or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        return name
    if name in INDEXED and any(index is not None and index.dtype in CHOOSING for index in args[1]):
        return f"{name} by a mask"
    return None


def lines_in_call() -> list[str]:
    """The pack's and the tests' lines that are being executed, innermost first."""
    frame, lines = sys._getframe(1), []
    while frame is not None:
        name = _real(frame.f_code.co_filename)
        if name.startswith(ROOT) and not name.startswith(TOOLS):
            lines.append(f"{os.path.relpath(name, ROOT)}:{frame.f_lineno}")
        frame = frame.f_back
    return lines


def asked_by() -> str:
    """ "nodes/x.py:12" for the innermost line of the pack, "comfy/y.py:34" where ComfyUI asks by itself."""
    frame, inner = sys._getframe(1), None
    while frame is not None:
        name = _real(frame.f_code.co_filename)
        if not name.startswith(TOOLS) and os.path.basename(name) != "contextlib.py":
            if name.startswith(ROOT):
                return f"{os.path.relpath(name, ROOT)}:{frame.f_lineno}"
            inner = inner or f"{os.sep.join(name.split(os.sep)[-2:])}:{frame.f_lineno}"
            if f"{os.sep}comfy{os.sep}" in name:
                return inner
        frame = frame.f_back
    return inner or "?"


def innermost() -> str:
    """The innermost line that is neither PyTorch's nor of these tools, as :func:`asked_by` writes it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _real(frame.f_code.co_filename).startswith(TOOLS):
        frame = frame.f_back
    name = _real(frame.f_code.co_filename)
    within = name.startswith(ROOT) and "site-packages" not in name
    return f"{os.path.relpath(name, ROOT) if within else os.sep.join(name.split(os.sep)[-2:])}:{frame.f_lineno}"


def of_the_pack(line: str) -> bool:
    """Whether a line of :func:`asked_by` is the pack's own or a test's."""
    return _exists(f"{ROOT}/{line.split(':')[0]}")


_real, _exists = functools.cache(os.path.realpath), functools.cache(os.path.exists)
