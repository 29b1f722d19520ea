"""Cross-frame attention: keys and values of the anchor and the previous key frame instead of a frame's own
(spec rerender.md 6)."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from ..common.errors import BetwixtError
from .windows import active_closed

# (step, place of the layer in the UNet, which conditioning: half and position in it)
Slot = tuple[int, Hashable, Hashable]


@dataclass
class FeatureStore:
    """Hidden tokens before the self-attention's projections, by step, layer and conditioning.

    Attributes:
        place: bytes -> device where that much is to wait between frames: the computing device while memory allows,
            else the offload device.
        features: slot -> [1, tokens, C] in the model's precision.
    """

    place: Callable[[int], torch.device]
    features: dict[Slot, Tensor] = field(default_factory=dict)

    def placed(self, tokens: Tensor) -> Tensor:
        """A copy of ``tokens`` where it is to wait."""
        return tokens.detach().to(self.place(tokens.numel() * tokens.element_size()), copy=True)

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


class Role(Enum):
    """What a pass does with the stores."""

    RECORD = "the anchor: fills the first store, attends to itself"
    READ = "attends to both stores"
    UPDATE = "attends to both stores, then takes the place of the previous frame"


@dataclass
class CrossFrameAttention:
    """The two stores and what to do with them in the current pass.

    Attributes:
        window: (start, end) of the steps at which other frames attend across, both inclusive; nothing is stored
            outside of it.
        total: number of sampling steps.
        first: features of the anchor; previous: of the last key frame, the anchor's to begin with.
    """

    window: tuple[float, float]
    total: int
    first: FeatureStore
    previous: FeatureStore
    _role: Role = Role.READ
    _update_before: int | None = None
    _fresh: dict[Slot, Tensor] = field(default_factory=dict)

    def begin_pass(self, role: Role, update_before: int | None = None) -> None:
        """``update_before``: only steps before this one update; the rest is left to a pass that goes on from there."""
        self._role, self._update_before, self._fresh = role, update_before, {}

    def context(self, tokens: Tensor, slot: Slot) -> Tensor:
        """Tokens the current ones attend to, [1, n, C] to [1, m, C].

        A slot is stored once per pass: guidance methods may evaluate the model again in the same step.
        """
        if not active_closed(slot[0], self.total, *self.window):
            return tokens
        if self._role is Role.RECORD:
            if slot not in self.first.features:
                self.first.features[slot] = self.first.placed(tokens)
            return tokens
        context = torch.cat([self.first.get(slot, tokens), self.previous.get(slot, tokens)], dim=1)
        if self._role is Role.UPDATE and (self._update_before is None or slot[0] < self._update_before):
            self._replace(slot, tokens)
        return context

    def _replace(self, slot: Slot, tokens: Tensor) -> None:
        if any(other[0] != slot[0] for other in self._fresh):
            self._commit()  # a step is over: nothing reads its old features any more
        if slot not in self._fresh:
            self._fresh[slot] = self.previous.placed(tokens)

    def _commit(self) -> None:
        self.previous.features.update(self._fresh)
        self._fresh = {}

    def finish_pass(self) -> None:
        """After a pass: the anchor's features serve as the previous ones, or the last step's are exchanged."""
        if self._role is Role.RECORD:
            self.previous.features = dict(self.first.features)  # shared until the first update
        self._commit()

    def make_previous_first(self) -> None:
        """The last key frame becomes the anchor."""
        self.first.features = dict(self.previous.features)
