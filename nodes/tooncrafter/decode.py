"""Decoding ToonCrafter's and DynamiCrafter's clips, and bringing them to another length."""

import torch
from comfy_api.latest import io

from ...common.clips.end_frames import drift_corrected, with_exact_ends
from ...common.clips.retiming import METHODS, held, resampled, without_still_ends
from ...common.errors import BetwixtError
from ...common.pictures import rgb_frames
from .. import sockets
from ..checked_node import CheckedNode
from ..host.conditioning_keys import CLIP_FRAMES, MODEL_TAG
from ..host.services.memory import require_memory
from ..host.services.progress import NodeProgress
from ..host.tooncrafter.first_stage import latents_of
from ..shared_inputs import fraction_input

CATEGORY = "Betwixt/ToonCrafter"


class DualReferenceDecode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtDualReferenceDecode",
            display_name="Dual-Reference Decode",
            category=CATEGORY,
            description="Decodes a whole clip with detail copied from both key frames (ToonCrafter), or frame by frame "
            "(DynamiCrafter). Works through the clip in pieces that fit into free memory; the result is the same.",
            search_aliases=["vae decode", "tooncrafter", "dual reference", "color drift", "end frames"],
            inputs=[
                io.Latent.Input("samples", tooltip="The sampled clip [frames, 4, height / 8, width / 8], or several."),
                sockets.FirstStage.Input("first_stage", tooltip="From 'Load ToonCrafter'."),
                io.Boolean.Input(
                    "two_passes",
                    default=True,
                    tooltip="Take the middle frames from a second decode without the frames next to the ends, as "
                    "published. Off: half the time, a slight jump in detail in the middle.",
                ),
                fraction_input(
                    "drift_correction",
                    0.0,
                    "How far colours and contrast are drawn to the key frames at both ends, linearly between. "
                    "0 = not at all, as published.",
                ),
                io.Boolean.Input(
                    "exact_ends",
                    default=False,
                    tooltip="Replace the first and the last frame, which are generated too, by the fitted key frames.",
                ),
                sockets.References.Input(
                    "references",
                    optional=True,
                    tooltip="From 'ToonCrafter Conditioning' or 'Encode with References'. Needed for ToonCrafter; for "
                    "DynamiCrafter only by the two options above.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images", tooltip="The clip, one picture per frame; several clips one after the other."
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, samples, first_stage, two_passes, drift_correction, exact_ends, references=None) -> io.NodeOutput:
        latents = latents_of(samples)
        _check_origin(samples, first_stage)
        _check_references(latents, first_stage, references, bool(drift_correction or exact_ends))
        progress, clips, decoded = NodeProgress(cls.hidden.unique_id), _clips(samples, latents), []
        for number, clip in enumerate(clips):
            images = first_stage.decode(
                clip, references, two_passes, lambda share, done=number: progress((done + share) / len(clips))
            )
            if drift_correction:
                images = drift_corrected(images, *references.pictures.to(images), drift_correction)
            if exact_ends and len(images) > 1:
                images = with_exact_ends(images, *references.pictures)
            decoded.append(images)
        return io.NodeOutput(torch.cat(decoded))


def _clips(samples: dict, latents: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """One clip, or the several that 'ToonCrafter Conditioning' was asked for."""
    frames = samples.get(CLIP_FRAMES) or len(latents)
    return latents.split(frames) if len(latents) % frames == 0 else (latents,)


def _check_origin(samples: dict, first_stage) -> None:
    made_for = samples.get(MODEL_TAG, first_stage.variant.name)
    if made_for != first_stage.variant.name:
        raise BetwixtError(
            f"The latent is of {made_for}, the first stage of {first_stage.variant.name}.",
            "Each model has its own decoder.",
            "Connect the 'first_stage' of the loader whose model was sampled.",
        )


def _check_references(latents, first_stage, references, needed_for_ends: bool) -> None:
    dual = first_stage.variant.dual_reference
    if references is None:
        if dual or needed_for_ends:
            raise BetwixtError(
                "'references' is not connected.",
                "ToonCrafter's decoder copies detail from both key frames."
                if dual
                else "'drift_correction' and 'exact_ends' need the key frames.",
                "Connect 'references' of 'ToonCrafter Conditioning' or of 'Encode with References'.",
            )
        return
    if dual and references.model != first_stage.variant.name:
        raise BetwixtError(
            f"The references are of {references.model}, the decoder of {first_stage.variant.name}.",
            "Both must come from one file.",
            "Connect the same 'first_stage' to both nodes.",
        )
    height, width = references.pictures.shape[1:3]
    if (height, width) != tuple(8 * side for side in latents.shape[-2:]):
        raise BetwixtError(
            f"The references are {width}x{height}, the latent {8 * latents.shape[-1]}x{8 * latents.shape[-2]}.",
            "Both must have the same size.",
            "Set the same 'width' and 'height' where the references are made.",
        )


class RetimeClip(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtRetimeClip",
            display_name="Retime Clip",
            category=CATEGORY,
            description="Brings a clip to another length without leaving the number of frames the model was trained "
            "on, puts it on twos or threes, and removes near-still frames at its ends, for clean joints.",
            search_aliases=["resample frames", "on twos", "hold", "frame count", "trim", "multiple key frames"],
            inputs=[
                io.Image.Input("images", tooltip="The clip."),
                io.Int.Input(
                    "frame_count",
                    default=0,
                    min=0,
                    max=10000,
                    tooltip="Frames of the result, ends included. 0 = as many as there are.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="nearest",
                    tooltip="nearest: drawings are dropped or stand longer, as animators do; blend: mixes neighbouring "
                    "frames, which smears lines.",
                ),
                io.Int.Input(
                    "hold",
                    default=1,
                    min=1,
                    max=24,
                    tooltip="Frames every drawing stands: 1 = on ones, 2 = on twos, 3 = on threes; as many frames as "
                    "before.",
                ),
                io.Float.Input(
                    "still_threshold",
                    default=0.0,
                    min=0.0,
                    max=0.2,
                    step=0.001,
                    tooltip="Before all else, frames next to the ends that differ from them by less than this (mean "
                    "absolute difference) are removed: models linger at key frames. 0 = keep all; 0.01 is a start.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="The retimed clip.")],
        )

    @classmethod
    def execute(cls, images, frame_count, method, hold, still_threshold) -> io.NodeOutput:
        frames = rgb_frames(images, "images")
        count, height, width = max(frame_count, len(frames)), *frames.shape[1:3]
        require_memory(count, height, width, 24, "frames", "Lower 'frame_count', or retime smaller pictures.")
        frames = without_still_ends(frames, still_threshold)
        return io.NodeOutput(held(resampled(frames, frame_count or len(frames), method), hold))


NODES = [DualReferenceDecode, RetimeClip]
