"""Frames made ready for a model: its sizes, another picture's colours."""

import numpy as np
from comfy_api.latest import io

from ...common.clips.frame_fit import fit_frame, fitted_size
from ...common.clips.recolour import recoloured
from ...common.errors import BetwixtError
from ...common.pictures import rgb_frames, single_frame, to_float, to_uint8
from ..checked_node import CheckedNode
from ..host.services.memory import require_memory

CATEGORY = "Betwixt/Rerender"


class FitFrames(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        crops = [
            io.Int.Input(
                name,
                default=0,
                min=0,
                max=16384,
                advanced=True,
                tooltip=f"Pixels cut off at the {name.removeprefix('crop_')} before resizing.",
            )
            for name in ("crop_left", "crop_right", "crop_top", "crop_bottom")
        ]
        return io.Schema(
            node_id="BetwixtFitFrames",
            display_name="Fit Frames",
            category=CATEGORY,
            description="Crops and resizes frames to what Stable Diffusion takes: multiples of 64 pixels, close to the "
            "wanted resolution and the old aspect ratio.",
            search_aliases=["resize", "crop", "multiple of 64"],
            inputs=[
                io.Image.Input("frames", tooltip="One or more pictures."),
                io.Int.Input(
                    "resolution",
                    default=512,
                    min=64,
                    max=4096,
                    step=64,
                    tooltip="Pixels of the chosen side; SD1.5 was trained on 512. Memory grows with its square.",
                ),
                io.Combo.Input(
                    "side",
                    options=["short", "long"],
                    default="short",
                    tooltip="Which side gets the resolution: short as documented by the authors, long as in their "
                    "later code (smaller pictures).",
                ),
                *crops,
            ],
            outputs=[io.Image.Output(display_name="frames", tooltip="The fitted frames, multiples of 64 pixels.")],
        )

    @classmethod
    def execute(cls, frames, resolution, side, crop_left, crop_right, crop_top, crop_bottom) -> io.NodeOutput:
        pictures = to_uint8(rgb_frames(frames, "frames"))
        height, width = pictures.shape[1:3]
        if crop_left + crop_right >= width or crop_top + crop_bottom >= height:
            raise BetwixtError(
                f"Nothing of the {width}x{height} frames is left after cropping.",
                f"Left and right together must be below {width}, top and bottom below {height}.",
                "Lower the crop values.",
            )
        crop = (crop_left, crop_right, crop_top, crop_bottom)
        size = fitted_size(height - crop_top - crop_bottom, width - crop_left - crop_right, resolution, side)
        require_memory(len(pictures), *size, 18, "frames", "Lower 'resolution', or set 'side' to 'long'.")
        return io.NodeOutput(to_float(np.stack([fit_frame(picture, resolution, side, crop) for picture in pictures])))


class RecolourFrames(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtRecolourFrames",
            display_name="Recolour Frames",
            category=CATEGORY,
            description="Gives frames the colours of a reference picture (histograms in Lab) and keeps their own "
            "brightness.",
            search_aliases=["color match", "histogram matching", "colour transfer"],
            inputs=[
                io.Image.Input("frames", tooltip="One or more pictures."),
                io.Image.Input("reference", tooltip="One picture with the wanted colours; its size does not matter."),
            ],
            outputs=[io.Image.Output(display_name="frames", tooltip="The recoloured frames.")],
        )

    @classmethod
    def execute(cls, frames, reference) -> io.NodeOutput:
        pictures, wanted = to_uint8(rgb_frames(frames, "frames")), to_uint8(single_frame(reference, "reference"))
        return io.NodeOutput(to_float(np.stack([recoloured(picture, wanted) for picture in pictures])))


NODES = [FitFrames, RecolourFrames]
