"""One clip on its own: is it steady, sharp, well paced, true to its key frames?"""

from comfy_api.latest import io

from ...common.measures.keyframes import colour_distance, end_frame_error
from ...common.measures.measurement import checked_clip, selected
from ...common.measures.motion import pace_error, pixel_mse, warp_error
from ...common.measures.sharpness import cpbd
from ...common.measures.steadiness import brightness_drift, flicker
from ...common.pictures import single_frame
from ...fcvg_core.tweening.timing import charted_fractions, eased_fractions
from ...rerender_core.flow.estimation import neighbour_pairs
from .. import sockets
from ..checked_node import CheckedNode
from .results import CATEGORY, measure_outputs, results

ALONG_FLOW = {"warp error": warp_error, "Pixel-MSE": pixel_mse}
ALONE = {"flicker": flicker, "brightness drift": brightness_drift, "CPBD": cpbd}
AGAINST_KEYS = {"end-frame error": end_frame_error, "colour distance": colour_distance}
LEAST_FRAMES = {"warp error": 2, "Pixel-MSE": 2, "pace": 3, "flicker": 3, "brightness drift": 2}


class MeasureClip(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        def flow():
            return sockets.Flow.Input(
                "flow",
                tooltip="From 'Estimate Flow' between neighbours: of this clip, for Pixel-MSE of the clip that it was "
                "made from.",
            )

        def keys():
            return [
                io.Image.Input("start", tooltip="The first key frame, one picture."),
                io.Image.Input("end", tooltip="The last key frame, one picture."),
            ]

        chart = io.String.Input(
            "chart",
            default="",
            tooltip="Timing chart the motion should follow, e.g. 1/4, 1/2, 3/4; empty: even spacing.",
        )
        options = [
            # first one without sockets: the interface cannot make them while it makes the node
            *(io.DynamicCombo.Option(name, []) for name in ALONE),
            io.DynamicCombo.Option("warp error", [flow()]),
            io.DynamicCombo.Option("Pixel-MSE", [flow()]),
            io.DynamicCombo.Option("pace", [flow(), chart]),
            *(io.DynamicCombo.Option(name, keys()) for name in AGAINST_KEYS),
        ]
        return io.Schema(
            node_id="BetwixtMeasureClip",
            display_name="Measure Clip",
            category=CATEGORY,
            description="Measures whether a clip is steady, sharp, well paced and true to its key frames, and shows "
            "where it is not.",
            search_aliases=[
                *("flicker", "warp error", "temporal consistency", "pixel-mse", "cpbd", "sharpness", "drift"),
                *("闪烁", "时间一致性", "깜빡임", "시간 일관성"),
            ],
            inputs=[
                io.Image.Input("frames", tooltip="The clip."),
                io.DynamicCombo.Input("measure", options=options, tooltip="What is measured; some need more inputs."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Pixels that count for warp error and Pixel-MSE: one mask or one per frame.",
                ),
            ],
            outputs=measure_outputs(),
        )

    @classmethod
    def execute(cls, frames, measure, mask=None) -> io.NodeOutput:
        name = measure["measure"]
        frames = checked_clip(frames, "frames", LEAST_FRAMES.get(name, 1))
        if name in ALONE:
            return results(ALONE[name](frames), frames)
        if name in AGAINST_KEYS:
            start, end = single_frame(measure["start"], "start"), single_frame(measure["end"], "end")
            return results(AGAINST_KEYS[name](frames, start, end), frames)
        count, height, width = frames.shape[:3]
        pairs, flow = neighbour_pairs(count), measure["flow"]
        flow.check(
            pairs,
            height,
            width,
            "the measured frames",
            "The measure needs every pair of neighbours.",
            "Choose 'neighbours' in 'Estimate Flow' and connect a clip of the same length.",
        )
        order = [flow.pairs.index(pair) for pair in pairs]
        whole = order == list(range(len(flow.pairs)))
        backward, occluded = (part if whole else part[order] for part in (flow.backward, flow.occlusion))
        if name == "pace":
            chart = measure["chart"]
            fractions = charted_fractions(count, chart) if chart.strip() else eased_fractions(count)
            return results(pace_error(backward, occluded, fractions.tolist()), frames)
        masks = selected(mask, count, height, width, "mask")
        return results(ALONG_FLOW[name](frames, backward, occluded, masks), frames)


NODES = [MeasureClip]
