"""Choosing the key frames of a clip."""

import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.pictures import rgb_frames
from ...rerender_core.keyframes.selection import (
    beginning_shots,
    by_coverage,
    cuts_of,
    every,
    no_further_than,
    parse_key_numbers,
    with_last,
)
from .. import sockets
from ..checked_node import CheckedNode
from ..host.services.progress import NodeProgress
from ..search_words import KEY_FRAMES

CATEGORY = "Betwixt/Rerender"
USUAL_CUT = 0.5


def _longest() -> io.Int.Input:
    return io.Int.Input(
        "longest",
        default=10,
        min=1,
        max=10000,
        tooltip="Largest distance of two key frames; further key frames are put in between.",
    )


class SelectKeyframes(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        interval = io.DynamicCombo.Option(
            "interval",
            [
                io.Int.Input(
                    "every",
                    default=10,
                    min=1,
                    max=10000,
                    tooltip="A key frame every so many frames. 5 to 20 are usual: small for fast motion.",
                )
            ],
        )
        listed = io.DynamicCombo.Option(
            "list",
            [
                io.String.Input(
                    "numbers", default="0, 10", tooltip="Frame numbers counted from 0, ascending, separated by commas."
                )
            ],
        )
        cuts = io.DynamicCombo.Option(
            "scene cuts",
            [
                io.Float.Input(
                    "threshold",
                    default=USUAL_CUT,
                    min=0.05,
                    max=1.0,
                    step=0.01,
                    tooltip="How different two neighbouring frames must be to count as a cut: 0.05 finds many, "
                    "0.5 what the EbSynth nodes find, 1 hard cuts only.",
                ),
                _longest(),
            ],
        )
        coverage = io.DynamicCombo.Option(
            "flow coverage",
            [
                sockets.FlowModel.Input("flow_model", tooltip="From 'Load Flow Model'; DIS is quick enough."),
                io.Float.Input(
                    "limit",
                    default=0.25,
                    min=0.01,
                    max=0.99,
                    step=0.01,
                    tooltip="Largest share of a frame that may be occluded or wrongly warped from the last key frame; "
                    "small values give many key frames.",
                ),
                _longest(),
            ],
        )
        return io.Schema(
            node_id="BetwixtSelectKeyFrames",
            display_name="Select Key Frames",
            category=CATEGORY,
            description="Picks the frames of a clip that are stylised; the rest is propagated from them.",
            search_aliases=["keyframes", "every nth frame", "scene detection", *KEY_FRAMES],
            inputs=[
                io.Image.Input("frames", tooltip="The clip, at least two frames."),
                io.DynamicCombo.Input(
                    "by",
                    options=[interval, listed, cuts, coverage],
                    tooltip="A fixed interval (published), a list, the shots of the clip, or as far as the motion from "
                    "one key frame explains the next frames.",
                ),
                io.Boolean.Input(
                    "include_last",
                    default=True,
                    tooltip="Also takes the last frame, so that every other frame lies between two key frames.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="key_frames", tooltip="The chosen frames."),
                io.String.Output(
                    display_name="key_numbers",
                    tooltip="Their frame numbers, e.g. 0, 10, 20, for 'Rerender Key Frames'.",
                ),
                io.Int.Output(display_name="count", tooltip="How many key frames there are."),
                io.String.Output(
                    display_name="shots",
                    tooltip="Numbers of the key frames that are the first of a new shot, for 'numbers' of "
                    "'anchor: at' in 'Rerender Key Frames'; empty without cuts.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, frames, by, include_last) -> io.NodeOutput:
        frames = rgb_frames(frames, "frames")
        count = frames.shape[0]
        if count < 2:
            raise BetwixtError(
                "'frames' holds one frame.", "A clip has at least two frames.", "Connect a clip to 'frames'."
            )
        cuts = cuts_of(frames, by.get("threshold", USUAL_CUT))
        numbers = _numbers(frames, by, cuts, NodeProgress(cls.hidden.unique_id))
        if include_last:
            numbers = with_last(numbers, count)
        chosen, shots = frames[torch.tensor(numbers)], beginning_shots(numbers, cuts)
        return io.NodeOutput(chosen, _written(numbers), len(numbers), _written(shots))


def _written(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _numbers(frames: torch.Tensor, by: dict, cuts: list[int], progress) -> list[int]:
    count = frames.shape[0]
    match by["by"]:
        case "interval":
            return every(count, by["every"])
        case "list":
            return parse_key_numbers(by["numbers"], "numbers", count)
        case "scene cuts":
            return no_further_than([0, *cuts], count, by["longest"])
        case _:
            return by_coverage(frames, by["flow_model"], by["limit"], by["longest"], progress)


NODES = [SelectKeyframes]
