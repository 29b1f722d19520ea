"""Decoding a clip the same way on every machine, and its two ends."""

import comfy.model_management
from comfy_api.latest import io

from ...common.clips.end_frames import drift_corrected, with_exact_ends
from ...common.errors import BetwixtError
from ...common.pictures import single_frame
from ...fcvg_core.sampling.decode import decode, plan
from ..checked_node import CheckedNode
from ..host.services.progress import NodeProgress
from ..host.svd.vae import decode_frames, require_temporal_vae
from ..shared_inputs import fraction_input

CATEGORY = "Betwixt/FCVG"
SMALLEST = 2  # latent cells; the VAE's norms have nothing to work on in a single one


class DecodeVideoLatents(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtDecodeVideoLatents",
            display_name="Decode Video Latents",
            category=CATEGORY,
            description="Decodes a clip of Stable Video Diffusion in chunks of a chosen length, so that the result "
            "does not depend on free memory; can correct the colours and put the key frames in place.",
            search_aliases=["vae decode", "svd", "temporal vae", "colour drift", "color match", "end frames"],
            inputs=[
                io.Latent.Input("samples", tooltip="The clip [frames, 4, height / 8, width / 8]."),
                io.Vae.Input("vae", tooltip="SVD's temporal VAE."),
                io.Int.Input(
                    "chunk",
                    default=8,
                    min=1,
                    max=1000,
                    tooltip="Frames decoded together. More: steadier, more memory; 25 = the whole clip at once. 2 with "
                    "overlap 0 is published.",
                ),
                io.Int.Input(
                    "overlap",
                    default=2,
                    min=0,
                    max=999,
                    tooltip="Frames that neighbouring chunks share and fade over. 0 = hard joints, quickest.",
                ),
                fraction_input(
                    "drift_correction",
                    0.0,
                    "How far colours and contrast are drawn to the key frames at both ends, linearly between. "
                    "0 = not at all.",
                ),
                io.Boolean.Input(
                    "exact_ends",
                    default=False,
                    tooltip="Replace the first and the last frame, which are generated too, by the key frames.",
                ),
                io.Image.Input("start_image", optional=True, tooltip="First key frame, for the two options above."),
                io.Image.Input("end_image", optional=True, tooltip="Last key frame, for the two options above."),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="The clip, one picture per frame.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, samples, vae, chunk, overlap, drift_correction, exact_ends, start_image=None, end_image=None
    ) -> io.NodeOutput:
        latents = samples["samples"]
        _check_latents(latents)
        require_temporal_vae(vae, "vae")
        plan(latents.shape[0], chunk, overlap)
        ends = _keyframes(latents, start_image, end_image) if drift_correction or exact_ends else None
        images = decode(
            lambda part: decode_frames(vae, part), latents, chunk, overlap, NodeProgress(cls.hidden.unique_id)
        )
        if drift_correction:
            images = drift_corrected(images, *ends, drift_correction)
        if exact_ends:
            images = with_exact_ends(images, *ends)
        return io.NodeOutput(images.to(comfy.model_management.intermediate_device()))


def _check_latents(latents) -> None:
    if latents.ndim != 4 or latents.shape[1] != 4 or min(latents.shape[-2:]) < SMALLEST:
        raise BetwixtError(
            f"The latent has the shape {list(latents.shape)}.",
            f"Clips of Stable Video Diffusion are [frames, 4, height / 8, width / 8], both at least {SMALLEST}.",
            "Use 'VAE Decode' for latents of other models.",
        )


def _keyframes(latents, start_image, end_image):
    if start_image is None or end_image is None:
        raise BetwixtError(
            "'drift_correction' or 'exact_ends' is on, and a key frame is not connected.",
            "Both need 'start_image' and 'end_image'.",
            "Connect the fitted key frames, or switch both options off.",
        )
    if latents.shape[0] < 2:
        raise BetwixtError(
            "The clip has one frame.",
            "It must have two ends to be matched with two key frames.",
            "Switch 'drift_correction' and 'exact_ends' off.",
        )
    size = [8 * side for side in latents.shape[-2:]]
    ends = [single_frame(start_image, "start_image"), single_frame(end_image, "end_image")]
    for image, name in zip(ends, ("start_image", "end_image"), strict=True):
        if list(image.shape[:2]) != size:
            raise BetwixtError(
                f"'{name}' is {image.shape[1]}x{image.shape[0]} and the clip {size[1]}x{size[0]}.",
                "The key frames must have the size of the clip.",
                "Connect the outputs of 'Fit Key Frames'.",
            )
    return ends


NODES = [DecodeVideoLatents]
