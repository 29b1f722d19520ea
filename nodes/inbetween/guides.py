"""Guide frames for video models, from key frames and sure inbetweens."""

import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.number_lists import parse_whole_numbers
from ...common.pictures import rgb_frames
from ...fcvg_core.inbetween.guide_frames import guide_numbers, latent_mask, place_guides
from ..checked_node import CheckedNode
from ..host.services.memory import require_memory
from ..shared_inputs import fraction_input, frame_count_input
from .layers import CATEGORY

STRIDES = {"1 (SVD)": 1, "4 (Wan)": 4, "8 (LTX)": 8}
CELLS = {"1 (SVD)": 8, "4 (Wan)": 8, "8 (LTX)": 32}  # pixels per latent cell


class GuideFrames(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtGuideFrames",
            display_name="Guide Frames",
            category=CATEGORY,
            description="Puts key frames, and if wanted the sure parts of inbetweens, on the frames of a video model: "
            "control video and masks for VACE, a list for guide nodes, a noise mask for refining.",
            search_aliases=["vace", "control video", "keyframes", "ltx guide", "noise mask", "inpaint video"],
            inputs=[
                io.Image.Input("key_frames", tooltip="Key frames in order, as a batch, of the video's size."),
                frame_count_input("Frames of the video: 81 for Wan, 25 for SVD.", default=81),
                io.String.Input(
                    "frame_numbers",
                    default="",
                    tooltip="Frame of each key frame, from 0; negative ones count from the end, e.g. '0, 40, -1'. "
                    "Empty: spread evenly from the first frame to the last.",
                ),
                fraction_input(
                    "confidence_from",
                    0.9,
                    "Inbetween pixels at least this sure are held; 1 holds next to nothing, 0 everything.",
                ),
                io.Int.Input(
                    "every",
                    default=1,
                    min=1,
                    max=1000,
                    tooltip="Hold only every so many inbetweens, counted from frame 0; the model makes those between.",
                ),
                io.Combo.Input(
                    "frames_per_latent",
                    options=list(STRIDES),
                    default="4 (Wan)",
                    tooltip="Frames that the video model packs into one latent frame, for 'noise_mask'.",
                ),
                io.Image.Input(
                    "inbetweens",
                    optional=True,
                    tooltip="A clip of frame_count frames, from 'Inbetween without a Model'.",
                ),
                io.Mask.Input("confidence", optional=True, tooltip="Its confidence, from the same node."),
                io.Image.Input(
                    "conditions",
                    optional=True,
                    tooltip="A clip of frame_count frames shown where the model is free, e.g. from 'Interpolate "
                    "Conditions'. Not connected: grey.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="control_video", tooltip="Guides where they hold, grey where free."),
                io.Mask.Output(display_name="masks", tooltip="Per frame, white where the model is free."),
                io.Mask.Output(
                    display_name="noise_mask",
                    tooltip="The same for a latent of the video, one mask per latent frame, for 'Set Latent Noise "
                    "Mask'.",
                ),
                io.Image.Output(
                    display_name="guide_images",
                    is_output_list=True,
                    tooltip="The key frames one by one, for guide nodes that take a picture and its frame.",
                ),
                io.Int.Output(
                    display_name="guide_numbers", is_output_list=True, tooltip="The frame of each of them, from 0."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        key_frames,
        frame_count,
        frame_numbers,
        confidence_from,
        every,
        frames_per_latent,
        inbetweens=None,
        confidence=None,
        conditions=None,
    ) -> io.NodeOutput:
        keys = rgb_frames(key_frames, "key_frames").cpu()
        numbers = guide_numbers(
            parse_whole_numbers(frame_numbers, "frame_numbers", negative=True), len(keys), frame_count
        )
        shape = (frame_count, *keys.shape[1:3])
        require_memory(*shape, 36, "frames", "Lower 'frame_count' or take smaller key frames.")
        if inbetweens is not None:
            inbetweens = _clip(rgb_frames(inbetweens, "inbetweens").cpu(), "inbetweens", shape)
            if confidence is None:
                raise BetwixtError(
                    "'inbetweens' is connected and 'confidence' is not.",
                    "What is not sure must be known, or the model keeps mistakes.",
                    "Connect 'confidence' of 'Inbetween without a Model'.",
                )
            confidence = _clip(confidence.cpu(), "confidence", shape)
        if conditions is not None:
            conditions = _clip(rgb_frames(conditions, "conditions").cpu(), "conditions", shape)
        video, mask = place_guides(
            keys, numbers, frame_count, inbetweens, confidence, confidence_from, every, conditions
        )
        noise = latent_mask(mask, STRIDES[frames_per_latent], CELLS[frames_per_latent])
        return io.NodeOutput(video, mask, noise, [key[None] for key in keys], numbers)


def _clip(frames: torch.Tensor, name: str, shape: tuple[int, int, int]) -> torch.Tensor:
    """Frames [F, H, W(, 3)] of exactly ``shape`` (frames, height, width)."""
    if tuple(frames.shape[:3]) != shape:
        count, height, width = frames.shape[:3]
        raise BetwixtError(
            f"'{name}' has {count} frames of {width}x{height}.",
            f"It must have {shape[0]} frames of {shape[2]}x{shape[1]}, like the video.",
            f"Make '{name}' from the same key frames with the same 'frame_count'.",
        )
    return frames


NODES = [GuideFrames]
