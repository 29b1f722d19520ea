"""All guide frames of an LTX video at once; the host's own node takes one of them."""

from collections.abc import Mapping

import comfy.utils
import torch
from comfy_api.latest import io
from comfy_extras.nodes_lt import LTXVAddGuide, get_keyframe_idxs

from ...common.errors import BetwixtError
from ...common.pictures import rgb_frames
from ..checked_node import CheckedNode
from .layers import CATEGORY

LATENT_CHANNELS = 128
CELL = 32  # pixels per latent cell


class AddLTXGuides(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtAddLTXGuides",
            display_name="Add LTX Guides",
            category=CATEGORY,
            description="Holds an LTX video to any number of key frames: one node instead of a chain of "
            "'LTXVAddGuide'. After sampling, 'LTXVCropGuides' takes the guides off the video.",
            search_aliases=["ltxv", "ltx video", "keyframes", "multi frame control", "LTXVAddGuide"],
            is_input_list=True,
            inputs=[
                io.Conditioning.Input("positive", tooltip="What the video shows."),
                io.Conditioning.Input("negative", tooltip="What it does not show."),
                io.Vae.Input("vae", tooltip="The VAE of the LTX checkpoint."),
                io.Latent.Input("latent", tooltip="The video to make, from 'EmptyLTXVLatentVideo'."),
                io.Image.Input("guide_images", tooltip="From 'Guide Frames'; any size, cut to the video's shape."),
                io.Int.Input(
                    "guide_numbers",
                    default=0,
                    min=0,
                    max=9999,
                    force_input=True,
                    tooltip="From 'Guide Frames': the frame of each picture, from 0.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How firmly the video keeps to its guides: 1 = wholly. A list gives each guide its own.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="For the sampler and 'LTXVCropGuides'."),
                io.Conditioning.Output(display_name="negative", tooltip="For the sampler and 'LTXVCropGuides'."),
                io.Latent.Output(display_name="latent", tooltip="The video, followed by its guides."),
            ],
        )

    @classmethod
    def execute(cls, positive, negative, vae, latent, guide_images, guide_numbers, strength) -> io.NodeOutput:
        guides = [picture[None] for batch in guide_images for picture in rgb_frames(batch, "guide_images")]
        for guide in guides:
            _check_size(*guide.shape[1:3])
        strengths = _one_each(strength, "strength", len(guides))
        if len(guide_numbers) != len(guides):
            raise _count("guide_numbers", len(guide_numbers), len(guides))
        positive, negative, vae, latent = positive[0], negative[0], vae[0], latent[0]
        for name, conditioning in (("positive", positive), ("negative", negative)):
            _check_guides(conditioning, name)
        _check_video(vae, latent["samples"], positive, guide_numbers)
        latent = _with_mask_of_video(latent)
        for guide, number, held in zip(guides, guide_numbers, strengths, strict=True):
            added = LTXVAddGuide.execute(positive, negative, vae, latent, guide, number, held)
            positive, negative, latent = added.args
        return io.NodeOutput(positive, negative, latent)


def _one_each(values: list, name: str, count: int) -> list:
    """A value for each guide; a single one serves all."""
    if len(values) not in (1, count):
        raise _count(name, len(values), count)
    return values * count if len(values) == 1 else values


def _check_size(height: int, width: int) -> None:
    if min(height, width) < CELL:
        raise BetwixtError(
            f"'guide_images' holds a picture of {width}x{height}.",
            f"At least {CELL}x{CELL} pixels are needed.",
            "Take pictures of about the video's size.",
        )


def _count(name: str, found: int, wanted: int) -> BetwixtError:
    return BetwixtError(
        f"'{name}' has {found} entries, 'guide_images' {wanted} pictures.",
        "One entry for each picture is needed.",
        "Connect both outputs of the same 'Guide Frames'.",
    )


def _check_video(vae, samples: torch.Tensor, positive: list, numbers: list[int]) -> None:
    """Refuse what the host's node takes for an internal error."""
    channels = getattr(vae, "latent_channels", None), samples.shape[1]
    if (
        channels != (LATENT_CHANNELS, LATENT_CHANNELS)
        or samples.ndim != 5
        or not hasattr(vae, "downscale_index_formula")
    ):
        raise BetwixtError(
            f"'vae' works on {channels[0]} channels, 'latent' has the shape {list(samples.shape)}.",
            f"An LTX video is needed: [1, {LATENT_CHANNELS}, frames, height, width], and the VAE that belongs to it.",
            "Connect the VAE of the LTX checkpoint, and 'EmptyLTXVLatentVideo' to 'latent'.",
        )
    if len(samples) > 1:
        raise BetwixtError(
            f"'latent' holds {len(samples)} videos.",
            "Guides are added to one video.",
            "Set 'batch_size' of 'EmptyLTXVLatentVideo' to 1.",
        )
    frames = samples.shape[2] - get_keyframe_idxs(positive, samples.shape)[1]
    last = (frames - 1) * vae.downscale_index_formula[0]
    late = next((number for number in numbers if number > last), None)
    if late is not None:
        raise BetwixtError(
            f"A guide stands on frame {late}, the video has {last + 1} frames.",
            f"Frames 0 to {last} can be guided.",
            "Give 'Guide Frames' and 'EmptyLTXVLatentVideo' the same number of frames, 8 n + 1.",
        )


def _check_guides(conditioning: list, name: str) -> None:
    """Guides that a conditioning brings along are counted by the host by their four dimensions."""
    for _, extra in conditioning:
        places = extra.get("keyframe_idxs")
        if places is not None and (not isinstance(places, torch.Tensor) or places.ndim != 4):
            raise BetwixtError(
                f"'{name}' brings guides along that are none of LTX.",
                "A conditioning of an LTX model is needed.",
                f"Connect a text, or a node that adds LTX guides, to '{name}'.",
            )


def _with_mask_of_video(latent: Mapping) -> Mapping:
    """The noise mask as the host's guides take it, [1, 1, frames, height, width]; 'Set Latent Noise Mask' makes others.

    It is resized as the sampler would.
    """
    mask, shape = latent.get("noise_mask"), latent["samples"].shape
    if mask is None or (mask.ndim == 5 and mask.shape[:3] == (1, 1, shape[2])):
        return latent
    return {**latent, "noise_mask": comfy.utils.reshape_mask(mask.float(), (1, 1, *shape[2:]))}


NODES = [AddLTXGuides]
