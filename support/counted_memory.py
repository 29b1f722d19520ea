"""Memory of tensors on the meta device, counted as they come and go: networks of full size without their bytes."""

import weakref
from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from support.card_calls import lines_in_call


class CountedMemory(TorchDispatchMode):
    """The largest sum of the bytes of all storages alive at once that were made inside (``peak``).

    Works on the meta device, so memory of a network of full size is counted without having it.
    """

    def __init__(self):
        super().__init__()
        self.users, self.now, self.peak = Counter(), 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and not any(tensor is given for given in tree_leaves(args)):
                storage = tensor.untyped_storage()
                self._use(storage._cdata, storage.nbytes())
                weakref.finalize(tensor, self._leave, storage._cdata, storage.nbytes())
        return out

    def _use(self, key: int, size: int) -> None:
        self.users[key] += 1
        if self.users[key] == 1:
            self.now += size
            self.peak = max(self.peak, self.now)

    def _leave(self, key: int, size: int) -> None:
        self.users[key] -= 1
        if self.users[key] == 0:
            self.now -= size


SEQUENCES = 2**16 - 1  # of a grid's axes: batch and heads


def refusal(query, key, value, mask=None) -> str | None:
    """Why PyTorch's fused attention kernels for CUDA would not take a call, so that its scores would be stored."""
    given = (query, key, value)
    alignment = 8 if query.dtype in (torch.float16, torch.bfloat16) else 4
    if any(tensor.dim() != 4 for tensor in given):
        return "not [batch, heads, tokens, width]"
    if any(tensor.dtype != query.dtype for tensor in given) or query.dtype == torch.float64:
        return f"values of {[str(tensor.dtype) for tensor in given]}"
    if any(tensor.shape[:2] != query.shape[:2] for tensor in given) or max(query.shape[:2]) > SEQUENCES:
        return f"batches or heads that are not as many, or more than {SEQUENCES}"
    if not all(tensor.shape[2] for tensor in given):
        return "no tokens"
    if any(tensor.stride(-1) != 1 for tensor in given):
        return "values of a token that are not neighbours in memory"
    if query.shape[-1] != key.shape[-1] or any(tensor.shape[-1] % alignment for tensor in given):
        return f"heads of a width that is no multiple of {alignment}"
    if mask is not None and mask.dtype not in (query.dtype, torch.bool):
        return "a mask of another type"
    if mask is not None and (mask.dim() not in (2, 4) or mask.stride(-1) != 1):
        return "a mask that is neither [tokens, tokens] nor [batch, heads, tokens, tokens], or not in that order"
    return None


class FusedAttention(TorchFunctionMode):
    """Scaled dot product attention as a card's fused kernels have it: only the output exists, the heads of a token
    side by side, as all of these kernels leave it. Fails where they would refuse a call.

    Attributes:
        calls: number of calls.
        lines: all lines of the pack through which a call came.
    """

    def __init__(self):
        super().__init__()
        self.calls, self.lines = 0, set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not torch.nn.functional.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, key, value = args[:3]
        reason = refusal(query, key, value, (kwargs or {}).get("attn_mask"))
        if reason is not None:
            shapes = [(tuple(tensor.shape), tensor.stride()) for tensor in (query, key, value)]
            raise AssertionError(f"{reason}: {shapes}")
        self.calls += 1
        self.lines.update(lines_in_call())
        *batch, heads, tokens, _ = query.shape
        return query.new_empty(*batch, tokens, heads, value.shape[-1]).transpose(-2, -3)


def counted_peak(work) -> int:
    """Bytes at the peak of ``work()``, of all that it makes, with fused attention."""
    with FusedAttention(), CountedMemory() as memory:
        work()
    return memory.peak
