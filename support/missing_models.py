"""Where the published model files can be downloaded, as the interface's missing-model dialog wants it."""

from betwixt.common.files.published_files import (
    CLIP_VISION_H,
    DWPOSE,
    GLUESTICK,
    SKETCH_ENCODER,
    SUPERPOINT,
    TOONCRAFTER,
    YOLOX,
)

_LINKS = (
    (SUPERPOINT, "https://github.com/magicleap/SuperPointPretrainedNetwork/raw/master/superpoint_v1.pth"),
    (GLUESTICK, "https://github.com/cvg/GlueStick/releases/download/v0.1_arxiv/checkpoint_GlueStick_MD.tar"),
    (YOLOX, "https://huggingface.co/yzd-v/DWPose/resolve/main/yolox_l.onnx"),
    (DWPOSE, "https://huggingface.co/yzd-v/DWPose/resolve/main/dw-ll_ucoco_384.onnx"),
    (
        TOONCRAFTER,
        "https://huggingface.co/Kijai/DynamiCrafter_pruned/resolve/main/tooncrafter_512_interp-fp16.safetensors",
    ),
    (SKETCH_ENCODER, "https://huggingface.co/Doubiiu/ToonCrafter/resolve/main/sketch_encoder.ckpt"),
    (CLIP_VISION_H, "https://huggingface.co/h94/IP-Adapter/resolve/main/models/image_encoder/model.safetensors"),
)
MODELS = {file.name: {"name": file.name, "url": url, "directory": file.folder} for file, url in _LINKS}
