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

PUBLISHED_FILES = (SUPERPOINT, GLUESTICK, YOLOX, DWPOSE, GMFLOW)
MODEL_FOLDERS = tuple(dict.fromkeys(file.folder for file in PUBLISHED_FILES))
