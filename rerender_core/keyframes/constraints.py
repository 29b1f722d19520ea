"""The four constraints of Rerender-A-Video as values, and which of them can act at all
(docs/methods/rerender.md, Windows)."""

from dataclasses import dataclass, replace

from ...common.errors import BetwixtError
from .step_windows import active_closed, active_open, injection_step

Window = tuple[float, float]


def window(start: float, end: float) -> Window:
    """Raises:
    BetwixtError: the window ends before it begins.
    """
    if start > end:
        raise BetwixtError(
            f"The window begins at {start:g} and ends at {end:g}.",
            "Both are shares of the sampling steps, 0..1, and the end must not lie before the start.",
            "Exchange 'start' and 'end', or bypass the node to switch the constraint off.",
        )
    return start, end


@dataclass(frozen=True)
class CrossFrame:
    """Cross-frame attention.

    Attributes:
        window: steps at which it acts, both ends inclusive.
        loose: leave the widest layers alone: holds structure less, copies less.
        update_every: every n-th key frame, beginning with the first after the anchor, becomes the previous one.
    """

    window: Window = (0.0, 1.0)
    loose: bool = True
    update_every: int = 1


@dataclass(frozen=True)
class ShapeAware:
    """Shape-aware fusion: the warped clean latent of the anchor; window with both ends inclusive."""

    window: Window = (0.0, 0.1)


@dataclass(frozen=True)
class PixelAware:
    """Pixel-aware fusion of warped earlier results.

    Attributes:
        window: steps at which it acts, both ends exclusive.
        mask_strength: weight of the known picture, 0..1.
        inner_strength: how far noise lost by mixing is topped up inside flat regions, 0..1.
        smooth_boundary: no top-up where the mask changes.
        compensation: lambda of the fidelity-oriented encoding; error_threshold: see :mod:`.fidelity_encoding`.
    """

    window: Window = (0.5, 0.8)
    mask_strength: float = 0.5
    inner_strength: float = 0.9
    smooth_boundary: bool = True
    compensation: float = 1.0
    error_threshold: float = 0.25


@dataclass(frozen=True)
class Adaptive:
    """Adaptive latent adjustment to the anchor's mean and deviation; window with both ends inclusive."""

    window: Window = (0.8, 1.0)


Constraint = CrossFrame | ShapeAware | PixelAware | Adaptive
NAMES = {
    CrossFrame: "Cross-Frame Attention",
    ShapeAware: "Shape-Aware Fusion",
    PixelAware: "Pixel-Aware Fusion",
    Adaptive: "Adaptive Latent Adjustment",
}


@dataclass(frozen=True)
class KeyframeConstraints:
    """Any subset of the constraints, each at most once."""

    cross_frame: CrossFrame | None = None
    shape_aware: ShapeAware | None = None
    pixel_aware: PixelAware | None = None
    adaptive: Adaptive | None = None

    def added(self, constraint: Constraint) -> "KeyframeConstraints":
        """Raises:
        BetwixtError: there is one of its kind already.
        """
        fields = {CrossFrame: "cross_frame", ShapeAware: "shape_aware", PixelAware: "pixel_aware", Adaptive: "adaptive"}
        name = fields[type(constraint)]
        if getattr(self, name) is not None:
            raise BetwixtError(
                f"'{NAMES[type(constraint)]}' is in the chain of constraints twice.",
                "Each constraint can act once.",
                "Remove one of the two nodes.",
            )
        return replace(self, **{name: constraint})

    @property
    def needs_flow(self) -> bool:
        return self.shape_aware is not None or self.pixel_aware is not None


def active_steps(constraint: Constraint, total: int, nominal: int) -> list[int]:
    """The steps at which a constraint acts."""
    if isinstance(constraint, PixelAware):
        return [step for step in range(total) if active_open(step, nominal, *constraint.window)]
    return [step for step in range(total) if active_closed(step, total, *constraint.window)]


def remarks(constraints: KeyframeConstraints, total: int, nominal: int, strength: float) -> list[str]:
    """What of the chain cannot act, or not as expected, with this many steps and this SDEdit amount; for the user."""
    injected = injection_step(total, strength)
    found = []
    for constraint in (
        constraints.cross_frame, constraints.shape_aware, constraints.pixel_aware, constraints.adaptive
    ):  # fmt: skip
        if constraint is None:
            continue
        name, steps = NAMES[type(constraint)], active_steps(constraint, total, nominal)
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
