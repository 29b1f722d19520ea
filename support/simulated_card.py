"""A card that is not there: tensors on the meta device, watched for what a card would refuse or be slowed down by."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from support.card_calls import asked_by, of_the_pack, why_waiting

CARD = torch.device("meta")
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)


class SimulatedCard(TorchDispatchMode):
    """Fails where tensors of both sides meet in one operation, but for single values, and where the processor would
    wait for a value of the card. Counts copies.

    Attributes:
        transfers: (from, to) -> number of copies between "cpu" and "meta" that the pack or a test asks for.
        elsewhere: the same of the host's own code.
    """

    def __init__(self):
        super().__init__()
        self.transfers: Counter = Counter()
        self.elsewhere: Counter = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, function._schema.name.split("::")[1]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        sides = {tensor.device.type for tensor in tensors if tensor.dim()}
        on_card = any(tensor.device == CARD for tensor in tensors)
        if function in COPIES:
            target = kwargs.get("device") if function is COPIES[0] else args[0].device
            source = args[1] if function is COPIES[1] else args[0]
            if target is not None and torch.device(target).type != source.device.type:
                counts = self.transfers if of_the_pack(asked_by()) else self.elsewhere
                counts[source.device.type, torch.device(target).type] += 1
                if source.device == CARD:  # there is nothing to copy
                    return args[0] if function is COPIES[1] else torch.zeros(source.shape, dtype=source.dtype)
        elif len(sides) > 1:
            raise AssertionError(f"{name}: {[(tuple(t.shape), t.device.type) for t in tensors]}")
        waited = why_waiting(name, args, kwargs) if on_card else None
        if waited is not None:
            raise AssertionError(f"the processor waits for a value of the card: {waited}")
        return function(*args, **kwargs)
