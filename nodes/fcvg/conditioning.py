"""Two key frames as conditioning of Stable Video Diffusion."""

from functools import partial

import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.files.published_files import SVD_XT
from ...common.pictures import single_frame, to_float, to_uint8
from ...fcvg_core.sampling.image_conditioning import FIT_MODES, check_size, clip_picture, fit, with_shared_noise
from ...fcvg_core.sampling.inbetween_conditioning import InbetweenConditioning
from .. import sockets
from ..checked_node import CheckedNode
from ..host.conditioning_keys import AUGMENTATION, CONCAT_LATENT, FRAME_RATE, KEYFRAME_LATENT, MOTION_BUCKET
from ..host.services.notices import show_notice
from ..host.svd.keyframe_latents import KeyframeLatents
from ..host.svd.vae import encode_pictures, require_temporal_vae
from ..search_words import INBETWEENS
from ..shared_inputs import fraction_input, frame_count_input, seed_input

CATEGORY = "Betwixt/FCVG"
EMBEDDING_WIDTH = 1024  # of the CLIP image embedding that SVD attends to
TRAINED_FRAMES = (14, 25)
LONGEST = 49  # frames


def _size_inputs() -> list[io.Input]:
    size = {"min": 64, "max": 4096, "step": 8}
    return [
        io.Int.Input(
            "width", default=1024, **size, tooltip="Width of the clip. Multiples of 64 are safest; trained on 1024."
        ),
        io.Int.Input(
            "height", default=576, **size, tooltip="Height of the clip. Multiples of 64 are safest; trained on 576."
        ),
        io.Combo.Input(
            "fit",
            options=list(FIT_MODES),
            default="crop",
            tooltip="How key frames of another shape are fitted. crop: cut the centre, as published; pad: black bars; "
            "stretch: distort. Pictures of the right size are not touched.",
        ),
    ]


def _keyframe_inputs() -> list[io.Input]:
    return [
        io.Image.Input("start_image", tooltip="First key frame."),
        io.Image.Input("end_image", tooltip="Last key frame; may have another size."),
    ]


def _training_inputs() -> list[io.Input]:
    """What the model is told about a clip, and the noise it was trained to expect in its key frames."""
    return [
        io.Int.Input(
            "fps",
            default=7,
            min=1,
            max=60,
            tooltip="Frame rate the model is told: 7 as published. Higher values give smaller steps between "
            "frames. The host passes fps - 1 on, as the training did.",
        ),
        io.Int.Input(
            "motion_bucket",
            default=127,
            min=0,
            max=1023,
            tooltip="Amount of motion the model is told: 127 as published, 30 = little, 200 = much.",
        ),
        fraction_input(
            "augmentation",
            0.02,
            "Noise added to the key frames before encoding: 0.02 as published. 0 = none; high values "
            "let the model leave the key frames.",
        ),
        seed_input("Of that noise, which both key frames share."),
    ]


def fitted_keyframes(start_image, end_image, width: int, height: int, mode: str) -> torch.Tensor:
    """Both key frames, checked and fitted: float [2, height, width, 3]."""
    check_size(width, height)
    images = [single_frame(start_image, "start_image"), single_frame(end_image, "end_image")]
    return torch.stack(
        [
            image if image.shape[:2] == (height, width) else to_float(fit(to_uint8(image), width, height, mode))
            for image in images
        ]
    )


class FitKeyframes(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtFitKeyFrames",
            display_name="Fit Key Frames",
            category=CATEGORY,
            description="Brings both key frames to the size of the clip, as FCVG does before it looks for lines and "
            "people. Put it in front of everything, so that lines, poses and conditioning share one picture.",
            search_aliases=["crop", "resize", "letterbox"],
            inputs=[*_keyframe_inputs(), *_size_inputs()],
            outputs=[
                io.Image.Output(display_name="start_image", tooltip="The first key frame at the wanted size."),
                io.Image.Output(display_name="end_image", tooltip="The last key frame at the wanted size."),
                io.Int.Output(display_name="width", tooltip="The width, for 'Inbetween Conditioning'."),
                io.Int.Output(display_name="height", tooltip="The height, for 'Inbetween Conditioning'."),
            ],
        )

    @classmethod
    def execute(cls, start_image, end_image, width, height, fit) -> io.NodeOutput:
        start, end = fitted_keyframes(start_image, end_image, width, height, fit).split(1)
        return io.NodeOutput(start, end, width, height)


class InbetweenConditioningNode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtInbetweenConditioning",
            display_name="Inbetween Conditioning",
            category=CATEGORY,
            description="Encodes two key frames for Stable Video Diffusion, one for each direction, exactly as FCVG "
            "was trained: the whole picture for CLIP, one shared noise, unscaled latents.",
            search_aliases=["svd conditioning", "fcvg", "key frames", "image to video", *INBETWEENS],
            inputs=[
                io.ClipVision.Input("clip_vision", tooltip="SVD's image encoder, from 'Image Only Checkpoint Loader'."),
                io.Vae.Input("vae", tooltip="SVD's temporal VAE, from the same loader."),
                *_keyframe_inputs(),
                *_size_inputs(),
                frame_count_input(
                    "Frames of the clip, both key frames included. The models were trained on 14 to 25; longer "
                    "clips hold together less well.",
                    longest=LONGEST,
                ),
                *_training_inputs(),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="First key frame."),
                io.Conditioning.Output(display_name="negative", tooltip="Its unconditional counterpart."),
                io.Conditioning.Output(display_name="positive_backward", tooltip="Last key frame."),
                io.Conditioning.Output(display_name="negative_backward", tooltip="Its unconditional counterpart."),
                io.Latent.Output(display_name="latent", tooltip="The empty clip [frames, 4, height / 8, width / 8]."),
                sockets.InbetweenConditioning.Output(
                    display_name="conditionings", tooltip="All of the above in one wire, for 'Inbetween'."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        clip_vision,
        vae,
        start_image,
        end_image,
        width,
        height,
        fit,
        frame_count,
        fps,
        motion_bucket,
        augmentation,
        seed,
    ) -> io.NodeOutput:
        pictures = fitted_keyframes(start_image, end_image, width, height, fit)
        require_temporal_vae(vae, "vae")
        _require_svd_clip(clip_vision)
        low, high = TRAINED_FRAMES
        if not low <= frame_count <= high:
            show_notice(
                cls.hidden.unique_id,
                f"{frame_count} frames: the models were trained on {low} to {high}; expect weaker motion or drift.",
            )
        embeds = clip_vision.encode_image(clip_picture(pictures)).image_embeds
        latents = encode_pictures(vae, with_shared_noise(pictures, augmentation, seed))
        clean = KeyframeLatents(vae, pictures, None if augmentation else latents)
        settings = {MOTION_BUCKET: motion_bucket, FRAME_RATE: fps, AUGMENTATION: augmentation}
        pairs = []
        for index, (embed, latent) in enumerate(zip(embeds.split(1), latents.split(1), strict=True)):
            for on in (1.0, 0.0):
                extras = {CONCAT_LATENT: latent * on, KEYFRAME_LATENT: partial(clean.of, index)}
                pairs.append([[embed[None] * on, {**settings, **extras}]])
        latent = torch.zeros(frame_count, 4, height // 8, width // 8)
        return io.NodeOutput(*pairs, {"samples": latent}, InbetweenConditioning(*pairs, latent))


def _require_svd_clip(clip_vision) -> None:
    width = getattr(getattr(clip_vision.model, "visual_projection", None), "out_features", None)
    if width != EMBEDDING_WIDTH:
        raise BetwixtError(
            f"The image encoder on 'clip_vision' gives {width or 'no'} values per picture.",
            f"Stable Video Diffusion needs the {EMBEDDING_WIDTH} of CLIP ViT-H.",
            f"Connect the CLIP_VISION of 'Image Only Checkpoint Loader' with {SVD_XT.name}.",
        )


NODES = [FitKeyframes, InbetweenConditioningNode]
