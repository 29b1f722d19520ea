"""Load GlueStick, the line matcher FCVG was published with."""

import os

from comfy_api.latest import io

from ...common.files.published_files import GLUESTICK, SUPERPOINT
from ...fcvg_core.lines.lsd.detector import prepare
from .. import sockets
from ..checked_node import CheckedNode
from ..file_inputs import missing_file, published_file_input
from ..host.services.line_matchers import managed_gluestick_matcher
from ..host.services.model_files import model_path, read_weights
from ..shared_inputs import fraction_input

CATEGORY = "Betwixt/FCVG"


class LoadGlueStick(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtLoadGlueStick",
            display_name="Load GlueStick",
            category=CATEGORY,
            description="The line matcher that FCVG was published with: line segments, SuperPoint and GlueStick. "
            "SuperPoint's weights are for non-commercial research only; 'Weight-free Line Matcher' needs no file.",
            search_aliases=["line matcher", "superpoint", "line segments", "lsd", "fcvg"],
            inputs=[
                published_file_input(
                    "superpoint", SUPERPOINT, "SuperPoint's weights: superpoint_v1.pth, 5 MB, in models/betwixt."
                ),
                published_file_input(
                    "gluestick", GLUESTICK, "GlueStick's weights: checkpoint_GlueStick_MD.tar, in models/betwixt."
                ),
                io.Combo.Input(
                    "detector",
                    options=["quick", "exact"],
                    default="quick",
                    tooltip="Line segment detector. 'exact' is the published one to the last bit; without numba it "
                    "takes about a second per picture. 'quick' is OpenCV's: 0.2 s, four of five segments are the same.",
                ),
                io.Int.Input(
                    "max_lines",
                    default=300,
                    min=1,
                    max=2000,
                    tooltip="Line segments kept per picture, the longest and cleanest first. FCVG uses 300; fewer give "
                    "a weaker hold on the motion. Time grows with the square.",
                ),
                io.Int.Input(
                    "max_points",
                    default=1000,
                    min=0,
                    max=4096,
                    tooltip="Interest points per picture that help to match the lines; they are not drawn. With 0 the "
                    "lines' junctions are matched alone. Time grows with the square.",
                ),
                io.Float.Input(
                    "min_length",
                    default=15.0,
                    min=0.0,
                    max=1000.0,
                    step=1.0,
                    advanced=True,
                    tooltip="Shortest line segment in pixels. Lower values let in noise, higher ones lose detail.",
                ),
                fraction_input(
                    "threshold",
                    0.2,
                    "A match must score more than this. 0 takes every mutual best pair, 0.9 only certain ones.",
                ),
            ],
            outputs=[sockets.LineMatcher.Output(display_name="line_matcher", tooltip="For 'Match Lines'.")],
        )

    @classmethod
    def validate_inputs(cls, superpoint, gluestick) -> bool | str:
        answers = missing_file(SUPERPOINT, superpoint), missing_file(GLUESTICK, gluestick)
        return next((answer for answer in answers if answer is not True), True)

    @classmethod
    def execute(cls, superpoint, gluestick, detector, max_lines, max_points, min_length, threshold) -> io.NodeOutput:
        if detector == "exact":
            prepare()
        slots = ((superpoint, SUPERPOINT), (gluestick, GLUESTICK))
        paths = [model_path(published.folder, name, published.described) for name, published in slots]
        matcher = managed_gluestick_matcher(
            *(read_weights(path) for path in paths),
            files=tuple(os.path.basename(path) for path in paths),
            detector=detector,
            max_lines=max_lines,
            max_points=max_points,
            min_length=min_length,
            threshold=threshold,
        )
        return io.NodeOutput(matcher)


NODES = [LoadGlueStick]
