"""The four constraints of Rerender-A-Video as values, and which of them can act at all
(docs/methods/rerender.md, Windows)."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, get_args

from ...common.errors import BetwixtError
from .step_windows import injection_step

Window = tuple[float, float]
Replacement = Literal["always", "with pixel-aware fusion", "never"]
REPLACEMENTS = get_args(Replacement)


def window(start: float, end: float) -> Window:
    """The window as a value; BetwixtError if it ends before it begins."""
    if start > end:
        raise BetwixtError(
            f"The window begins at {start:g} and ends at {end:g}.",
            "Both are shares of the sampling steps, 0..1, and the end must not lie before the start.",
            "Exchange 'start' and 'end', or bypass the node to switch the constraint off.",
        )
    return start, end


@dataclass(frozen=True)
class Constraint:
    """What holds a key frame to earlier ones.

    Attributes:
        window: (start, end) of the steps at which it acts, as shares of all steps, both inclusive.
        title: what users know it by; field: where it stands in :class:`KeyframeConstraints`.
    """

    window: Window
    title: ClassVar[str]
    field: ClassVar[str]

    def acts(self, step: int, total: int, nominal: int) -> bool:
        """Whether it acts at a step.

        Args:
            step: counted from 0, the noisiest.
            total: number of sampling steps; nominal: the number the user asked for.
        """
        start, end = self.window
        return total * start <= step <= total * end

    def active_steps(self, total: int, nominal: int) -> list[int]:
        return [step for step in range(total) if self.acts(step, total, nominal)]


@dataclass(frozen=True)
class CrossFrame(Constraint):
    """Cross-frame attention; see :mod:`.cross_frame_attention`.

    Attributes:
        loose: leave the widest layers alone: holds structure less, copies less.
        update_every: every n-th key frame, beginning with the first after the anchor, becomes the previous one.
        replacement: when key frames do: "with pixel-aware fusion", as published, whose second pass it is that does it;
            without that fusion the anchor remains the previous frame for ever.
    """

    title = "Cross-Frame Attention"
    field = "cross_frame"
    window: Window = (0.0, 1.0)
    loose: bool = True
    update_every: int = 1
    replacement: Replacement = "always"

    def replaces(self, index: int, fused: bool) -> bool:
        """Whether key frame ``index``, counted from 0 after the anchor, becomes the previous one; ``fused``: there is
        pixel-aware fusion."""
        allowed = {"always": True, "with pixel-aware fusion": fused, "never": False}[self.replacement]
        return allowed and index % self.update_every == 0


@dataclass(frozen=True)
class ShapeAware(Constraint):
    """Shape-aware fusion: the warped clean latent of the anchor; see :mod:`.clean_latent`."""

    title = "Shape-Aware Fusion"
    field = "shape_aware"
    window: Window = (0.0, 0.1)


@dataclass(frozen=True)
class PixelAware(Constraint):
    """Pixel-aware fusion of warped earlier results; see :mod:`.pixel_fusion`.

    Attributes:
        window: steps at which it acts, shares of the nominal steps, both ends exclusive.
        mask_strength: weight of the known picture, 0..1.
        inner_strength: how far noise lost by mixing is topped up inside flat regions, 0..1.
        smooth_boundary: no top-up where the mask changes.
        compensation: lambda of the fidelity-oriented encoding; error_threshold: see :mod:`.fidelity_encoding`.
    """

    title = "Pixel-Aware Fusion"
    field = "pixel_aware"
    window: Window = (0.5, 0.8)
    mask_strength: float = 0.5
    inner_strength: float = 0.9
    smooth_boundary: bool = True
    compensation: float = 1.0
    error_threshold: float = 0.25

    def acts(self, step: int, total: int, nominal: int) -> bool:
        start, end = self.window
        return nominal * start < step < nominal * end


@dataclass(frozen=True)
class Adaptive(Constraint):
    """Adaptive latent adjustment to the anchor's mean and deviation; see :mod:`.clean_latent`."""

    title = "Adaptive Latent Adjustment"
    field = "adaptive"
    window: Window = (0.8, 1.0)


@dataclass(frozen=True)
class KeyframeConstraints:
    """Any subset of the constraints, each at most once."""

    cross_frame: CrossFrame | None = None
    shape_aware: ShapeAware | None = None
    pixel_aware: PixelAware | None = None
    adaptive: Adaptive | None = None

    def added(self, constraint: Constraint) -> "KeyframeConstraints":
        """The chain with one more; BetwixtError if there is one of its kind already."""
        if getattr(self, constraint.field) is not None:
            raise BetwixtError(
                f"'{constraint.title}' is in the chain of constraints twice.",
                "Each constraint can act once.",
                "Remove one of the two nodes.",
            )
        change: dict[str, Any] = {constraint.field: constraint}
        return replace(self, **change)

    def __iter__(self) -> Iterator[Constraint]:
        """Those that are set."""
        return (part for field in fields(self) if (part := getattr(self, field.name)) is not None)

    @property
    def needs_flow(self) -> bool:
        return self.shape_aware is not None or self.pixel_aware is not None


def remarks(constraints: KeyframeConstraints, total: int, nominal: int, strength: float) -> list[str]:
    """What of the chain cannot act, or not as expected, with this many steps and this SDEdit amount; for the user."""
    injected = injection_step(total, strength)
    found = []
    for constraint in constraints:
        name, steps = constraint.title, constraint.active_steps(total, nominal)
        if not steps:
            found.append(f"{name} has no effect: its window holds none of the {total} steps. Widen the window.")
        elif injected and steps[-1] < injected:
            found.append(
                f"{name} has no effect: it acts at steps {steps[0]}..{steps[-1]}, but with strength {strength:g} "
                f"sampling begins at step {injected} of {total}. Raise 'strength' of 'Rerender Key Frames' or move "
                f"the window's 'end' beyond {injected / total:g}."
            )
        elif injected and isinstance(constraint, PixelAware) and steps[0] <= injected:
            found.append(
                f"{name} acts from step {injected} on only: sampling begins there, inside its window "
                f"({steps[0]}..{steps[-1]})."
            )
    return found
