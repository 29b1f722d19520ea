"""Two or more clips against each other: in numbers, on one sheet, in one picture."""

from comfy_api.latest import io

from ...common.measures.drawing import contact_sheet, difference, labelled, side_by_side, wipe
from ...common.measures.edges import edge_chamfer
from ...common.measures.measurement import checked_pair
from ...common.measures.perceptual import BACKBONES, lpips
from ...common.measures.similarity import ms_ssim, psnr, ssim
from ...common.pictures import rgb_frames
from ..checked_node import CheckedNode
from ..host.services.perceptual import Perceptual
from ..shared_inputs import fraction_input
from .results import CATEGORY, measure_outputs, results

SIMILARITIES = {"PSNR": psnr, "SSIM": ssim, "MS-SSIM": ms_ssim, "edge chamfer": edge_chamfer}
PERCEPTUAL = {f"LPIPS ({name})": backbone for name, backbone in BACKBONES.items()}
LABELS = io.String.Input(
    "labels",
    default="",
    multiline=True,
    optional=True,
    tooltip="Names of the clips, one per line, in Latin letters; empty: none or numbers.",
)


class CompareClips(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtCompareClips",
            display_name="Compare Clips",
            category=CATEGORY,
            description="Measures how near a clip is to a reference clip, frame by frame, and shows where they differ.",
            search_aliases=[
                "psnr",
                "ssim",
                "ms-ssim",
                "chamfer",
                "lpips",
                "metric",
                "quality",
                "画质评估",
                "화질 측정",
            ],
            inputs=[
                io.Image.Input("frames", tooltip="The clip to be judged."),
                io.Image.Input("reference", tooltip="What it should look like: as many frames of the same size."),
                io.Combo.Input(
                    "measure",
                    options=[*SIMILARITIES, *PERCEPTUAL],
                    default="SSIM",
                    tooltip="PSNR: squared error in dB. SSIM and MS-SSIM: structure, 1 is equal. Edge chamfer: "
                    "distance of drawn edges in pixels, 0 is equal. LPIPS: what a trained network sees, 0 is equal; "
                    "its weights must lie in models/betwixt.",
                ),
            ],
            outputs=measure_outputs(),
        )

    @classmethod
    def execute(cls, frames, reference, measure) -> io.NodeOutput:
        first, second = checked_pair(frames, reference, "frames", "reference")
        if measure in PERCEPTUAL:
            return results(lpips(first, second, Perceptual(PERCEPTUAL[measure])), first)
        return results(SIMILARITIES[measure](first, second), first)


class ContactSheet(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        more = [
            io.Image.Input(f"frames_{number}", optional=True, tooltip=f"Clip number {number}, the sheet's next row.")
            for number in (2, 3, 4)
        ]
        return io.Schema(
            node_id="BetwixtContactSheet",
            display_name="Contact Sheet",
            category=CATEGORY,
            description="Puts up to four clips on one sheet, a row each, by frames spread evenly over them.",
            search_aliases=["grid", "storyboard", "overview", "compare", "拼图", "콘택트 시트"],
            inputs=[
                io.Image.Input("frames", tooltip="The first clip; clips may differ in length and size."),
                io.Int.Input("columns", default=7, min=1, max=64, tooltip="Frames shown per clip."),
                io.Int.Input("cell_width", default=256, min=32, max=2048, tooltip="Width of each frame in pixels."),
                *more,
                LABELS,
            ],
            outputs=[io.Image.Output(display_name="sheet", tooltip="One picture with all rows.")],
        )

    @classmethod
    def execute(
        cls, frames, columns, cell_width, frames_2=None, frames_3=None, frames_4=None, labels=""
    ) -> io.NodeOutput:
        given = {"frames": frames, "frames_2": frames_2, "frames_3": frames_3, "frames_4": frames_4}
        clips = [rgb_frames(clip, name) for name, clip in given.items() if clip is not None]
        return io.NodeOutput(contact_sheet(clips, labels.splitlines(), columns, cell_width))


class SideBySide(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        modes = [
            io.DynamicCombo.Option("side by side", []),
            io.DynamicCombo.Option(
                "wipe",
                [
                    fraction_input(
                        "position",
                        0.5,
                        "Where the border stands, as a share of the width: 1 shows the first clip alone.",
                    )
                ],
            ),
            io.DynamicCombo.Option(
                "difference",
                [
                    io.Float.Input(
                        "gain",
                        default=4.0,
                        min=1.0,
                        max=100.0,
                        step=0.5,
                        tooltip="Differences are multiplied by this, so that small ones are seen.",
                    )
                ],
            ),
        ]
        return io.Schema(
            node_id="BetwixtSideBySide",
            display_name="Side by Side",
            category=CATEGORY,
            description="Shows two clips in one: beside each other, with a wipe between them, or their difference.",
            search_aliases=["compare", "wipe", "split screen", "difference", "对比", "비교"],
            inputs=[
                io.Image.Input("frames", tooltip="The first clip."),
                io.Image.Input("reference", tooltip="The second: as many frames of the same size."),
                io.DynamicCombo.Input("mode", options=modes, tooltip="How both are shown."),
                LABELS,
            ],
            outputs=[io.Image.Output(display_name="frames", tooltip="The clip that shows both.")],
        )

    @classmethod
    def execute(cls, frames, reference, mode, labels="") -> io.NodeOutput:
        first, second = checked_pair(frames, reference, "frames", "reference")
        left, right = (*labels.splitlines(), "", "")[:2]
        width = first.shape[2]
        match mode["mode"]:
            case "side by side":
                return io.NodeOutput(labelled(side_by_side(first, second), [(left, 0), (right, width)]))
            case "wipe":
                joined, border = wipe(first, second, mode["position"]), round(mode["position"] * width)
                return io.NodeOutput(labelled(joined, [(left, 0), (right, border)]))
            case _:
                named = " - ".join(name for name in (left, right) if name)
                return io.NodeOutput(labelled(difference(first, second, mode["gain"]), [(named, 0)]))


NODES = [CompareClips, ContactSheet, SideBySide]
