"""The four constraints of Rerender-A-Video; each adds itself to a chain, so that any subset can be wired."""

from comfy_api.latest import io

from ...rerender_core.keyframes.constraints import (
    REPLACEMENTS,
    Adaptive,
    Constraint,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
    window,
)
from .. import sockets
from ..checked_node import CheckedNode
from ..shared_inputs import fraction_input
from .encode import encoding_inputs

CATEGORY = "Betwixt/Rerender"


def window_inputs(constraint: type[Constraint], acts: str) -> list:
    """The share of the sampling steps at which a constraint acts."""
    return [
        fraction_input(
            name, default, f"{side} of the window in which {acts}, as a share of all steps: 0 = first step, 1 = end."
        )
        for name, side, default in zip(("start", "end"), ("Beginning", "End"), constraint.window, strict=True)
    ]


def chain_input():
    return sockets.KeyframeConstraints.Input(
        "constraints", optional=True, tooltip="Constraints before this one; nothing here begins a chain."
    )


def chain_output():
    return sockets.KeyframeConstraints.Output(
        display_name="constraints", tooltip="The chain with this constraint, for the next one or 'Rerender Key Frames'."
    )


def chained(constraints, constraint) -> io.NodeOutput:
    return io.NodeOutput((constraints or KeyframeConstraints()).added(constraint))


class CrossFrameAttention(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtCrossFrameAttention",
            display_name=CrossFrame.title,
            category=CATEGORY,
            description="Constraint: self-attention of each key frame looks at the first and the previous key frame "
            "instead of itself, which carries the style from frame to frame.",
            search_aliases=["rerender", "temporal consistency"],
            inputs=[
                *window_inputs(CrossFrame, "attention crosses frames"),
                io.Boolean.Input(
                    "loose",
                    default=CrossFrame.loose,
                    tooltip="Leaves the widest (lowest-resolution) layers alone: less ghosting in fast motion, "
                    "less alike in shape.",
                ),
                io.Int.Input(
                    "update_every",
                    default=CrossFrame.update_every,
                    min=1,
                    max=1000,
                    tooltip="Every n-th key frame becomes the previous one; large values keep looking at the anchor.",
                ),
                chain_input(),
                io.Combo.Input(
                    "replace_previous",
                    options=list(REPLACEMENTS),
                    default=CrossFrame.replacement,
                    optional=True,
                    tooltip="When key frames become the previous one. always; with pixel-aware fusion: as published, "
                    "without that fusion it stays the anchor; never: it stays the anchor.",
                ),
            ],
            outputs=[chain_output()],
        )

    @classmethod
    def execute(
        cls, start, end, loose, update_every, constraints=None, replace_previous=CrossFrame.replacement
    ) -> io.NodeOutput:
        return chained(constraints, CrossFrame(window(start, end), loose, update_every, replace_previous))


class ShapeAwareFusion(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtShapeAwareFusion",
            display_name=ShapeAware.title,
            category=CATEGORY,
            description="Constraint: in the first steps the picture's outline is taken from the anchor, moved along "
            "the flow.",
            search_aliases=["rerender", "temporal consistency"],
            inputs=[*window_inputs(ShapeAware, "shapes are taken over"), chain_input()],
            outputs=[chain_output()],
        )

    @classmethod
    def execute(cls, start, end, constraints=None) -> io.NodeOutput:
        return chained(constraints, ShapeAware(window(start, end)))


class PixelAwareFusion(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtPixelAwareFusion",
            display_name=PixelAware.title,
            category=CATEGORY,
            description="Constraint: in the middle steps the picture is held to the earlier key frames, moved along "
            "the flow; what they do not show comes from a first, rough render.",
            search_aliases=["rerender", "temporal consistency"],
            inputs=[
                *window_inputs(PixelAware, "pixels are fused (steps at its very ends excluded)"),
                fraction_input(
                    "mask_strength",
                    PixelAware.mask_strength,
                    "Weight of what is known from earlier frames: 0 = none, 1 = copied. High values "
                    "accumulate errors over long clips.",
                ),
                fraction_input(
                    "inner_strength",
                    PixelAware.inner_strength,
                    "How far the noise that mixing takes away is given back: low values blur, 1 keeps all.",
                ),
                io.Boolean.Input(
                    "smooth_boundary",
                    default=PixelAware.smooth_boundary,
                    tooltip="No noise is given back at the borders of known regions: softer seams.",
                ),
                *encoding_inputs(),
                chain_input(),
            ],
            outputs=[chain_output()],
        )

    @classmethod
    def execute(
        cls,
        start,
        end,
        mask_strength,
        inner_strength,
        smooth_boundary,
        compensation,
        error_threshold,
        constraints=None,
    ) -> io.NodeOutput:
        options = (mask_strength, inner_strength, smooth_boundary, compensation, error_threshold)
        return chained(constraints, PixelAware(window(start, end), *options))


class AdaptiveLatentAdjustment(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtAdaptiveLatentAdjustment",
            display_name=Adaptive.title,
            category=CATEGORY,
            description="Constraint: in the last steps mean and contrast of the latent follow the anchor's, which "
            "keeps the colours.",
            search_aliases=["rerender", "adain", "colour consistency"],
            inputs=[*window_inputs(Adaptive, "colours are adjusted"), chain_input()],
            outputs=[chain_output()],
        )

    @classmethod
    def execute(cls, start, end, constraints=None) -> io.NodeOutput:
        return chained(constraints, Adaptive(window(start, end)))


NODES = [CrossFrameAttention, ShapeAwareFusion, PixelAwareFusion, AdaptiveLatentAdjustment]
