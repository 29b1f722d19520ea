"""Cross-frame attention: keys and values of the anchor and the previous key frame instead of a frame's own
(docs/methods/rerender.md, Cross-frame attention)."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import torch
from torch import Tensor

from ...common.errors import BetwixtError
from .constraints import CrossFrame

# (step, place of the layer in the UNet, which conditioning: half and position in it)
Slot = tuple[int, Hashable, Hashable]

AHEAD = 4  # slots that are fetched before their turn: both halves of guidance in the next two layers


class FeatureMemory(Protocol):
    """Where hidden tokens wait between frames, and how they come back."""

    def keep(self, tokens: Tensor, device: torch.device | None = None) -> Tensor:
        """A copy of the tokens where it is to wait: on ``device``, or wherever there is room."""
        ...

    def fetch(self, kept: Tensor, device: torch.device) -> Callable[[], Tensor]:
        """Begin to bring kept tokens to a device; the result waits for them and returns them."""
        ...


class InPlace:
    """:class:`FeatureMemory` that leaves everything where it is."""

    def keep(self, tokens: Tensor, device: torch.device | None = None) -> Tensor:
        return tokens.detach().to(device or tokens.device, copy=True)

    def fetch(self, kept: Tensor, device: torch.device) -> Callable[[], Tensor]:
        return lambda: kept.to(device)


class Role(Enum):
    """What a pass does with the stores."""

    RECORD = "the anchor: fills the first store, attends to itself"
    READ = "attends to both stores"
    UPDATE = "attends to both stores, then takes the place of the previous frame"


@dataclass
class CrossFrameAttention:
    """The two stores and what to do with them in the current pass.

    Attributes:
        constraint: says at which steps other frames attend across; nothing is stored at others.
        total: number of sampling steps.
        memory: keeps and brings the tokens.
        first: hidden tokens of the anchor before the self-attention's projections, slot -> [1, tokens, C] in the
            model's precision; previous: of the last key frame, the anchor's own tensors to begin with.
    """

    constraint: CrossFrame
    total: int
    memory: FeatureMemory = field(default_factory=InPlace)
    first: dict[Slot, Tensor] = field(default_factory=dict)
    previous: dict[Slot, Tensor] = field(default_factory=dict)
    _role: Role = Role.READ
    _update_before: int | None = None
    _fresh: dict[Slot, Tensor] = field(default_factory=dict)
    _order: list[Slot] = field(default_factory=list)
    _places: dict[Slot, int] = field(default_factory=dict)
    _coming: dict[Slot, list[Callable[[], Tensor]]] = field(default_factory=dict)

    def begin_pass(self, role: Role, update_before: int | None = None) -> None:
        """``update_before``: only steps before this one update; the rest is left to a pass that goes on from there."""
        self._role, self._update_before = role, update_before
        self._fresh, self._coming = {}, {}

    def context(self, tokens: Tensor, slot: Slot) -> Tensor:
        """Tokens the current ones attend to, [1, n, C] to [1, m, C].

        A slot is stored once per pass: guidance methods may evaluate the model again in the same step.

        Raises:
            BetwixtError: the layer had another number of tokens, or was not evaluated, when the anchor was rendered.
        """
        if not self.acts(slot[0]):
            return tokens
        context = tokens
        if self._role is not Role.RECORD:
            self._check(tokens, slot)
            context = torch.cat(self._fetched(slot, tokens.device), dim=1).to(tokens.dtype)
        self.take(tokens, slot)
        return context

    def acts(self, step: int) -> bool:
        return self.constraint.acts(step, self.total, nominal=self.total)

    def takes(self, step: int) -> bool:
        """Whether the pass keeps tokens of a step."""
        early = self._update_before is None or step < self._update_before
        return self.acts(step) and (self._role is Role.RECORD or (self._role is Role.UPDATE and early))

    def take(self, tokens: Tensor, slot: Slot) -> None:
        """Keep what the tokens of a slot were, if the pass does so."""
        if not self.takes(slot[0]):
            return
        if self._role is Role.UPDATE:
            self._replace(slot, tokens)
        elif slot not in self.first:
            self.first[slot] = self.memory.keep(tokens)

    def at_hand(self, step: int, conditionings: Sequence[Hashable], device: torch.device) -> dict | None:
        """All that a step's tokens attend to, without waiting for anything.

        Args:
            conditionings: those of a batch, in its order.

        Returns:
            place of a layer -> the anchor's and the previous frame's tokens [1, n, C], conditioning by conditioning;
            empty where tokens attend to themselves; None if some of it waits elsewhere or is missing.
        """
        if self._role is Role.RECORD or not self.acts(step):
            return {}
        layers = dict.fromkeys(slot[1] for slot in self._order if slot[0] == step)
        found: dict[Hashable, list[Tensor]] = {layer: [] for layer in layers}
        for layer in layers:
            for slot in ((step, layer, conditioning) for conditioning in conditionings):
                for store in (self.first, self.previous):
                    if slot not in store or store[slot].device != device:
                        return None
                    found[layer].append(store[slot])
        return found or None

    def _check(self, tokens: Tensor, slot: Slot) -> None:
        if slot not in self.first:
            raise BetwixtError(
                f"In step {slot[0]} the model is asked for a conditioning that the first frame did not have.",
                "Cross-frame attention needs the same conditionings in every frame.",
                "Remove the node that changes guidance from frame to frame, or 'Cross-Frame Attention'.",
            )
        stored = self.first[slot]
        if stored.shape[1:] != tokens.shape[1:]:
            raise BetwixtError(
                f"A self-attention layer has {tokens.shape[1]} tokens and had {stored.shape[1]} for the first frame.",
                "Cross-frame attention needs the same tokens in every frame.",
                "Remove token merging or tiling (ToMe, HyperTile) from the model.",
            )

    def _fetched(self, slot: Slot, device: torch.device) -> list[Tensor]:
        """The anchor's and the previous frame's tokens of a slot; those of the next slots are on their way then."""
        asked = self._coming.get(slot) or self._asked(slot, device)
        place = self._places[slot] + 1
        self._coming = {
            other: self._coming.get(other) or self._asked(other, device) for other in self._order[place : place + AHEAD]
        }
        found = [arrived() for arrived in asked]
        return [found[0], found[-1]]

    def _asked(self, slot: Slot, device: torch.device) -> list[Callable[[], Tensor]]:
        kept = [self.first[slot]]
        if self.previous[slot] is not kept[0]:
            kept.append(self.previous[slot])
        return [self.memory.fetch(tokens, device) for tokens in kept]

    def _replace(self, slot: Slot, tokens: Tensor) -> None:
        if any(other[0] != slot[0] for other in self._fresh):
            self._commit()  # a step is over: nothing reads its old features any more
        if slot not in self._fresh:
            old = self.previous[slot]
            takes_its_place = old is not self.first[slot]
            self._fresh[slot] = self.memory.keep(tokens, old.device if takes_its_place else None)

    def _commit(self) -> None:
        self.previous.update(self._fresh)
        self._fresh = {}

    def finish_pass(self) -> None:
        """After a pass: the anchor's features serve as the previous ones, or the last step's are exchanged."""
        if self._role is Role.RECORD:
            self.previous = dict(self.first)  # shared until the first update
            self._order = list(self.first)
            self._places = {slot: place for place, slot in enumerate(self._order)}
        self._commit()
        self._coming = {}

    def make_previous_first(self) -> None:
        """The last key frame becomes the anchor."""
        self.first = dict(self.previous)

    @property
    def bytes(self) -> int:
        """Size of what is kept; what both stores share counts once."""
        kept = {id(tokens): tokens for store in (self.first, self.previous) for tokens in store.values()}
        return sum(tokens.nbytes for tokens in kept.values())
