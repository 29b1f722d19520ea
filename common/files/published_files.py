"""The published weight files the pack reads: one list for loaders' errors, the launcher's ``doctor`` and the README.

Imports nothing but the standard library, so that the launcher can read it before anything is installed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFile:
    """One file that users place themselves.

    Attributes:
        name: file name as published.
        folder: folder below ComfyUI's ``models``.
        size: for people, e.g. "5.2 MB".
        licence: of the weights.
        source: where it is published.
        purpose: what it is for, in the node's words.
    """

    name: str
    folder: str
    size: str
    licence: str
    source: str
    purpose: str

    @property
    def described(self) -> str:
        """For an error's remedy: name, source and licence in one line."""
        return f"{self.name} ({self.source}; {self.licence})"


SUPERPOINT = PublishedFile(
    name="superpoint_v1.pth",
    folder="betwixt",
    size="5.2 MB",
    licence="Magic Leap, non-commercial research only, no redistribution",
    source="github.com/magicleap/SuperPointPretrainedNetwork",
    purpose="SuperPoint, the interest points of the GlueStick line matcher",
)
GLUESTICK = PublishedFile(
    name="checkpoint_GlueStick_MD.tar",
    folder="betwixt",
    size="70 MB of weights",
    licence="MIT",
    source="github.com/cvg/GlueStick, release v0.1_arxiv",
    purpose="GlueStick, the line matcher",
)
YOLOX = PublishedFile(
    name="yolox_l.onnx",
    folder="dwpose",
    size="217 MB",
    licence="Apache-2.0",
    source="huggingface.co/yzd-v/DWPose",
    purpose="YOLOX, the person detector of DWPose",
)
DWPOSE = PublishedFile(
    name="dw-ll_ucoco_384.onnx",
    folder="dwpose",
    size="134 MB",
    licence="Apache-2.0",
    source="huggingface.co/yzd-v/DWPose",
    purpose="DWPose, the whole-body poses",
)
GMFLOW = PublishedFile(
    name="gmflow_sintel-0c07dcb3.pth",
    folder="optical_flow",
    size="19 MB",
    licence="code Apache-2.0, weights without a statement of their own",
    source="huggingface.co/PKUWilliamYang/Rerender, folder models",
    purpose="GMFlow, the optical flow of Rerender-A-Video",
)
FCVG_UNET = PublishedFile(
    name="unet.safetensors",
    folder="diffusion_models",
    size="6.1 GB",
    licence="none stated; derived from SVD-XT 1.1, so its Stability AI licence",
    source="huggingface.co/melmass/FCVG, or the Google Drive folder 1qIvr9WO8qk3NUdztxweTmexfkHt8oRDB of FCVG's README",
    purpose="FCVG's fine-tuned Stable Video Diffusion UNet",
)
FCVG_CONTROLNEXT = PublishedFile(
    name="controlnext.safetensors",
    folder="controlnet",
    size="14 MB",
    licence="none stated; derived from SVD-XT 1.1, so its Stability AI licence",
    source="huggingface.co/melmass/FCVG, or the Google Drive folder 1qIvr9WO8qk3NUdztxweTmexfkHt8oRDB of FCVG's README",
    purpose="ControlNeXt, the encoder of FCVG's condition pictures",
)
SVD_XT = PublishedFile(
    name="svd_xt_1_1.safetensors",
    folder="checkpoints",
    size="4.8 GB",
    licence="Stability AI Community",
    source="huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt-1-1",
    purpose="Stable Video Diffusion XT 1.1: image encoder and temporal VAE for FCVG, TRF, GI and ViBiD",
)
GI_UNET = PublishedFile(
    name="svd_reverse_motion_with_attnflip.safetensors",
    folder="diffusion_models",
    size="3.1 or 6.1 GB",
    licence="Apache-2.0; derived from SVD, so its Stability AI licence",
    source="the Google Drive folder in the README of github.com/jeanne-wang/svd_keyframe_interpolation, its file "
    "unet/diffusion_pytorch_model.safetensors",
    purpose="GI's UNet fine-tuned for backward motion",
)
SVD_14 = PublishedFile(
    name="svd.safetensors",
    folder="checkpoints",
    size="9.6 GB",
    licence="Stability AI Community",
    source="huggingface.co/stabilityai/stable-video-diffusion-img2vid",
    purpose="Stable Video Diffusion for 14 frames, what GI's UNet was fine-tuned from",
)
TOONCRAFTER = PublishedFile(
    name="tooncrafter_512_interp-fp16.safetensors",
    folder="checkpoints",
    size="5.3 GB",
    licence="Apache-2.0",
    source="huggingface.co/Kijai/DynamiCrafter_pruned; originally model.ckpt of huggingface.co/Doubiiu/ToonCrafter",
    purpose="ToonCrafter, inbetweens for two drawings; the pruned file without encoders works as well",
)
SKETCH_ENCODER = PublishedFile(
    name="sketch_encoder.ckpt",
    folder="controlnet",
    size="1.5 GB",
    licence="Apache-2.0",
    source="huggingface.co/Doubiiu/ToonCrafter",
    purpose="ToonCrafter's sketch guidance",
)
CLIP_VISION_H = PublishedFile(
    name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
    folder="clip_vision",
    size="2.5 GB",
    licence="MIT",
    source="huggingface.co/h94/IP-Adapter, models/image_encoder/model.safetensors",
    purpose="image encoder for pruned ToonCrafter and DynamiCrafter files",
)

PUBLISHED_FILES = (
    SUPERPOINT, GLUESTICK, YOLOX, DWPOSE, GMFLOW, FCVG_UNET, FCVG_CONTROLNEXT, SVD_XT, GI_UNET, SVD_14, TOONCRAFTER,
    SKETCH_ENCODER, CLIP_VISION_H,
)  # fmt: skip
MODEL_FOLDERS = tuple(dict.fromkeys(file.folder for file in PUBLISHED_FILES))
