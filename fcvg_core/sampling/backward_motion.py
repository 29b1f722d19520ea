"""GI's backward motion: rotated temporal self-attention and the weights fine-tuned for it.

Wang et al. 2024, "Generative Inbetweening: Adapting Image-to-Video Models for Keyframe Interpolation"
(docs/methods/svd.md, GI). The backward model is SVD-XT plus (fine-tuned - SVD) on the value and output projections of
every temporal self-attention.
"""

import re

import torch
from torch import nn

from ...common.errors import BetwixtError
from ...common.files.published_files import GI_UNET, SVD_14
from .parameter_names import to_ldm

_PROJECTION = re.compile(r"(?P<layer>.+\.time_stack\.0\.attn1)\.(?P<part>to_v\.weight|to_out\.0\.(weight|bias))")
PARTS = ("to_v.weight", "to_out.0.weight", "to_out.0.bias")
TRANSFORMER_COUNT = 16  # temporal self-attentions of SVD's UNet


def attention_map(q: torch.Tensor, k: torch.Tensor, heads: int) -> torch.Tensor:
    """Probabilities of self-attention over frames.

    Args:
        q, k: [rows, F, heads * d]; a row is one pixel of one batch entry.

    Returns:
        [rows, heads, F, F] in q's dtype; scores, which half precision may not hold, and softmax are float32.
    """
    rows, frames, width = q.shape
    q, k = (x.view(rows, frames, heads, -1).transpose(1, 2) for x in (q * (width // heads) ** -0.5, k))
    return (q.float() @ k.float().transpose(-1, -2)).softmax(dim=-1).to(q.dtype)


def rotated(probabilities: torch.Tensor) -> torch.Tensor:
    """The map of the same motion played backwards: ``P[F-1-i, F-1-j]``."""
    return probabilities.flip(-1, -2)


def attend(probabilities: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Values [rows, F, heads * d] mixed by ``probabilities`` [rows, heads, F, F]."""
    rows, heads, frames, _ = probabilities.shape
    mixed = probabilities @ v.view(rows, frames, heads, -1).transpose(1, 2)
    return mixed.transpose(1, 2).reshape(rows, frames, -1)


def projections(state_dict: dict) -> dict[str, dict[str, torch.Tensor]]:
    """The value and output projections of all temporal self-attentions, ``{layer: {part: tensor}}``, in ldm names."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in to_ldm(state_dict)[0].items():
        match = _PROJECTION.fullmatch(key)
        if match:
            found.setdefault(match["layer"], {})[match["part"]] = value
    return found


def delta_weights(finetuned: dict, base: dict | None, name: str) -> dict[str, dict[str, torch.Tensor]]:
    """What to add to the forward model's projections.

    Args:
        finetuned: GI's UNet in diffusers or ldm names; with ``base`` None a file that holds the differences alone.
        base: the UNet it was fine-tuned from, the 14-frame SVD (not SVD-XT).
        name: the first file's name, for errors.

    Returns:
        ``{layer: {part: float32 tensor}}`` with every part of :data:`PARTS`.

    Raises:
        BetwixtError: projections missing, or a whole UNet where the differences alone are needed.
    """
    new = projections(finetuned)
    complete = len(new) == TRANSFORMER_COUNT and all(set(parts) == set(PARTS) for parts in new.values())
    if not complete:
        count = sum(len(parts) for parts in new.values())
        raise BetwixtError(
            f"'{name}' holds {count} of GI's {TRANSFORMER_COUNT * len(PARTS)} fine-tuned projections.",
            "The value and output projections of all temporal self-attentions are needed.",
            f"Choose {GI_UNET.described}, or a file of the differences.",
        )
    if base is None:
        if len(finetuned) > TRANSFORMER_COUNT * len(PARTS):
            raise BetwixtError(
                f"'{name}' is a whole UNet, not the difference to one.",
                "GI adds the difference between its fine-tuned UNet and the 14-frame SVD it started from.",
                f"Choose {SVD_14.described} for 'base'; not SVD-XT.",
            )
        return {layer: {part: value.float() for part, value in parts.items()} for layer, parts in new.items()}
    old = projections(base)
    if {(layer, part): value.shape for layer, parts in new.items() for part, value in parts.items()} != {
        (layer, part): value.shape for layer, parts in old.items() for part, value in parts.items()
    }:
        raise BetwixtError(
            f"The base of '{name}' has other temporal self-attentions than it.",
            "Both must be Stable Video Diffusion UNets of the same width.",
            f"Choose {SVD_14.described} for 'base'; not SVD-XT.",
        )
    return {
        layer: {part: value.float() - old[layer][part].float() for part, value in parts.items()}
        for layer, parts in new.items()
    }


class BackwardMotionDelta(nn.Module):
    """The differences as layers, to be added to the activations of the model's own projections.

    Args:
        deltas: as :func:`delta_weights` returns them.
    """

    def __init__(self, deltas: dict, operations=torch.nn, device=None, dtype=torch.float16):
        super().__init__()
        factory = {"device": device, "dtype": dtype}
        self.values, self.outputs = nn.ModuleDict(), nn.ModuleDict()
        for layer, parts in deltas.items():
            name, (width, inputs) = self._name(layer), parts["to_v.weight"].shape
            self.values[name] = operations.Linear(inputs, width, bias=False, **factory)
            self.outputs[name] = operations.Linear(width, parts["to_out.0.weight"].shape[0], **factory)
            self.values[name].load_state_dict({"weight": parts["to_v.weight"]})
            self.outputs[name].load_state_dict({"weight": parts["to_out.0.weight"], "bias": parts["to_out.0.bias"]})

    @staticmethod
    def _name(layer: str) -> str:
        return layer.split(".time_stack")[0].replace(".", "_")

    @staticmethod
    def layer_of(block: tuple[str, int]) -> str:
        """The name of the transformer in a block of the UNet, e.g. ("input", 4)."""
        side, number = block[:2]
        return "middle_block_1" if side == "middle" else f"{side}_blocks_{number}_1"

    def value(self, block: tuple[str, int], hidden: torch.Tensor) -> torch.Tensor:
        """To add to the value projection of ``hidden``."""
        return self.values[self.layer_of(block)](hidden)

    def output(self, block: tuple[str, int], attended: torch.Tensor) -> torch.Tensor:
        """To add to the output projection of ``attended``."""
        return self.outputs[self.layer_of(block)](attended)
