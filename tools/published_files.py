"""Where the published model files can be downloaded, as the interface's missing-model dialog wants it."""

from betwixt.common.published_files import DWPOSE, GLUESTICK, SUPERPOINT, YOLOX

_LINKS = (
    (SUPERPOINT, "https://github.com/magicleap/SuperPointPretrainedNetwork/raw/master/superpoint_v1.pth"),
    (GLUESTICK, "https://github.com/cvg/GlueStick/releases/download/v0.1_arxiv/checkpoint_GlueStick_MD.tar"),
    (YOLOX, "https://huggingface.co/yzd-v/DWPose/resolve/main/yolox_l.onnx"),
    (DWPOSE, "https://huggingface.co/yzd-v/DWPose/resolve/main/dw-ll_ucoco_384.onnx"),
)
MODELS = {file.name: {"name": file.name, "url": url, "directory": file.folder} for file, url in _LINKS}
