"""Match lines between two key frames, and the line matcher that needs no weights."""

import numpy as np
import torch
from comfy_api.latest import io, ui

from ...common.pictures import same_size, single_frame, to_float, to_uint8
from ...fcvg_core.lines.match_preview import draw_matches
from ...fcvg_core.lines.weight_free.matcher import WeightFreeLineMatcher
from .. import sockets
from ..checked_node import CheckedNode
from ..host.services.masks import usable_mask
from ..host.services.notices import show_notice
from ..host.services.progress import NodeProgress
from ..shared_inputs import fraction_input

CATEGORY = "Betwixt/FCVG"


class WeightFreeLineMatcherNode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtWeightFreeLineMatcher",
            display_name="Weight-free Line Matcher",
            category=CATEGORY,
            description="A line matcher that needs no model file and may be used for any purpose: optical flow and "
            "feature matches say where lines go, colours beside them and their neighbours confirm it.",
            search_aliases=["line matcher", "line segments", "lsd", "optical flow", "fcvg"],
            inputs=[
                io.Int.Input(
                    "max_segments",
                    default=600,
                    min=1,
                    max=1500,
                    tooltip="Line segments considered in each frame, the longest and cleanest first. Fewer are quicker "
                    "and leave out fine detail.",
                ),
                fraction_input(
                    "min_confidence",
                    0.5,
                    "Estimated probability that a match is true, at least. 0 keeps doubtful ones, 0.9 only "
                    "certain ones.",
                ),
                io.Float.Input(
                    "min_length",
                    default=15.0,
                    min=4.0,
                    max=1000.0,
                    step=1.0,
                    advanced=True,
                    tooltip="Shortest line segment in pixels. Lower values let in texture, higher ones lose detail.",
                ),
            ],
            outputs=[sockets.LineMatcher.Output(display_name="line_matcher", tooltip="For 'Match Lines'.")],
        )

    @classmethod
    def execute(cls, max_segments, min_confidence, min_length) -> io.NodeOutput:
        return io.NodeOutput(WeightFreeLineMatcher(max_segments, min_length, min_confidence))


def _limits() -> list[io.Input]:
    return [
        io.Int.Input(
            "max_number",
            default=300,
            min=1,
            max=2000,
            tooltip="The most matches to keep, the best first. FCVG works with up to 300.",
        ),
        io.Float.Input(
            "min_length",
            default=0.0,
            min=0.0,
            max=2000.0,
            step=1.0,
            tooltip="Drop matches that are shorter in either frame, in pixels. 0 keeps all that the matcher finds; 40 "
            "keeps only the frame of the scene.",
        ),
        fraction_input(
            "min_score", 0.0, "Drop matches with a lower score, 0 to 1. Raise it if the preview shows wrong ones."
        ),
    ]


class MatchLines(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        region = "white where lines of the {} frame may lie (by their midpoints). Not connected: everywhere."
        return io.Schema(
            node_id="BetwixtMatchLines",
            display_name="Match Lines",
            category=CATEGORY,
            description="Finds the line segments of the first key frame again in the last one. The matches steer the "
            "frames between; the preview shows each pair in one colour.",
            search_aliases=["line matching", "gluestick", "correspondence", "fcvg", "inbetween"],
            inputs=[
                io.Image.Input("start_image", tooltip="First key frame, one picture."),
                io.Image.Input("end_image", tooltip="Last key frame, one picture of the same size."),
                sockets.LineMatcher.Input(
                    "line_matcher", tooltip="From 'Weight-free Line Matcher' or 'Load GlueStick'."
                ),
                *_limits(),
                io.Mask.Input("start_mask", optional=True, tooltip="One mask, " + region.format("first")),
                io.Mask.Input("end_mask", optional=True, tooltip="One mask, " + region.format("last")),
            ],
            outputs=[
                sockets.LineMatches.Output(
                    display_name="line_matches", tooltip="The matched segments, for 'Interpolate Conditions'."
                ),
                io.Image.Output(display_name="preview", tooltip="Both key frames with the matches, side by side."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        start_image,
        end_image,
        line_matcher,
        max_number,
        min_length,
        min_score,
        start_mask=None,
        end_mask=None,
    ) -> io.NodeOutput:
        start, end = single_frame(start_image, "start_image"), single_frame(end_image, "end_image")
        size = same_size(start, end, "start_image", "end_image")
        regions = [
            _region(usable_mask(mask, name, size, 1, cls.hidden.unique_id))
            for mask, name in ((start_mask, "start_mask"), (end_mask, "end_mask"))
        ]
        first, last = to_uint8(start), to_uint8(end)
        found = line_matcher.match(first, last, NodeProgress(cls.hidden.unique_id))
        matches = found.inside(*regions).filtered(max_number, min_length, min_score)
        if len(matches) == 0:
            show_notice(cls.hidden.unique_id, _why_none(len(found)))
        preview = to_float(draw_matches(first, last, matches))[None]
        return io.NodeOutput(matches, preview, ui=ui.PreviewImage(preview, cls=cls))


def _region(mask: torch.Tensor | None) -> np.ndarray | None:
    """A MASK as boolean (H, W); None for everywhere."""
    return None if mask is None else (mask[0] > 0.5).cpu().numpy()


def _why_none(found: int) -> str:
    if found:
        return (
            f"None of the {found} line matches is left. Lower 'min_length' or 'min_score' of Match Lines, or make the "
            "masks larger."
        )
    return (
        "No line of the start image was found again in the end image; lines will not steer the frames between. Lower "
        "'min_length' and the confidence or threshold of the line matcher, or take key frames that are closer together."
    )


NODES = [WeightFreeLineMatcherNode, MatchLines]
