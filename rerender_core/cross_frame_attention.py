"""Cross-frame attention: keys and values of the anchor and the previous key frame instead of a frame's own
(spec rerender.md 6)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..common.errors import BetwixtError
from .windows import active_closed

DECODER_BLOCKS = range(3, 12)  # output blocks with attention in a Stable Diffusion 1.5 UNet
LOOSE_FROM = 6  # the loose variant leaves the 1280-channel blocks alone

# (step, place of the layer in the UNet, 0 = conditional half and 1 = unconditional)
Slot = tuple[int, tuple, int]


@dataclass
class FeatureStore:
    """Hidden tokens before the self-attention's projections, by step, layer and half.

    Attributes:
        features: slot -> [1, tokens, C] on ``device`` in the model's precision.
        device: where they wait between frames; the computing device if memory allows, else the offload device.
    """

    device: torch.device
    features: dict[Slot, Tensor] = field(default_factory=dict)

    def put(self, slot: Slot, tokens: Tensor) -> None:
        self.features[slot] = tokens.detach().to(self.device, copy=True)

    def get(self, slot: Slot, like: Tensor) -> Tensor:
        """Raises:
        BetwixtError: the layer has another number of tokens than when it was stored.
        """
        stored = self.features[slot]
        if stored.shape[1:] != like.shape[1:]:
            raise BetwixtError(
                f"A self-attention layer has {like.shape[1]} tokens now and had {stored.shape[1]} for the first frame.",
                "Cross-frame attention needs the same tokens in every frame.",
                "Remove token merging or tiling (ToMe, HyperTile) from the model.",
            )
        return stored.to(like.device, like.dtype, non_blocking=True)

    @property
    def bytes(self) -> int:
        return sum(tokens.numel() * tokens.element_size() for tokens in self.features.values())


def is_covered(block: tuple[str, int], loose: bool) -> bool:
    """Whether the constraint acts on the self-attention of a UNet block such as ("output", 5)."""
    kind, number = block
    return kind == "output" and number in DECODER_BLOCKS and (not loose or number >= LOOSE_FROM)


@dataclass
class CrossFrameAttention:
    """The two stores and what to do with them in the current pass.

    Attributes:
        window: (start, end) of the steps at which other frames attend across, both inclusive.
        total: number of sampling steps.
        loose: leave the 1280-channel layers alone.
        first: features of the anchor; previous: of the last key frame, the anchor's to begin with.
        recording: the anchor is being sampled: it fills ``first`` and attends to itself.
        updating: this pass's features become ``previous``.
    """

    window: tuple[float, float]
    total: int
    loose: bool
    first: FeatureStore
    previous: FeatureStore
    recording: bool = False
    updating: bool = False
    fresh: dict[Slot, Tensor] = field(default_factory=dict)

    def context(self, tokens: Tensor, slot: Slot) -> Tensor:
        """Tokens the current ones attend to, [1, n, C] to [1, m, C].

        A slot is stored once per pass: guidance methods may evaluate the model again in the same step.
        """
        if self.recording:
            if slot not in self.first.features:
                self.first.put(slot, tokens)
            return tokens
        if not active_closed(slot[0], self.total, *self.window):
            context = tokens
        else:
            context = torch.cat([self.first.get(slot, tokens), self.previous.get(slot, tokens)], dim=1)
        if self.updating and slot not in self.fresh:
            self.fresh[slot] = tokens.detach().to(self.previous.device, copy=True)
        return context

    def finish_pass(self) -> None:
        """After a pass: the anchor's features serve as the previous ones, or fresh ones replace them."""
        if self.recording:
            self.previous.features = dict(self.first.features)  # shared until the first update
        elif self.updating:
            self.previous.features = {**self.previous.features, **self.fresh}
        self.fresh = {}
