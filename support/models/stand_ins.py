"""A ComfyUI base directory for tests: the demo's pictures, and small stand-ins for every published model file.

The stand-ins have the names, layout and keys of the published files, so they go through the code that loads those.
"""

import json
import shutil
from pathlib import Path

import torch
from betwixt.demo.scene import write_inputs

from support.golden import STORED
from support.models import synthetic_weights, tooncrafter_stand_ins

# The interface must not greet a test with its tour, nor draw over the graph or leave out small texts.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}
# Files of models that the host loads in full size only: listed, never read; their graphs run in miniature.
ONLY_LISTED = (
    "checkpoints/v1-5-pruned-emaonly.safetensors",
    "checkpoints/svd.safetensors",
    "checkpoints/svd_xt.safetensors",
    "checkpoints/svd_xt_1_1.safetensors",
    "clip_vision/CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
    "controlnet/control_v11p_sd15_canny.pth",
    "diffusion_models/wan2.1_vace_1.3B_fp16.safetensors",
    "text_encoders/sd21_text_encoder.safetensors",
    "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "vae/vae-ft-mse-840000-ema-pruned.safetensors",
    "vae/wan_2.1_vae.safetensors",
)


def write_base(folder: Path) -> Path:
    """Fill ``folder`` with input/, models/ and the interface's settings; returns it."""
    write_inputs(folder / "input")
    write_models(folder / "models")
    settings = folder / "user" / "default" / "comfy.settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(SETTINGS))
    return folder


def write_models(models: Path) -> None:
    """Stand-ins under the published names."""
    (models / "betwixt").mkdir(parents=True)
    (models / "dwpose").mkdir()
    superpoint = synthetic_weights.load_manifest(STORED / "gluestick" / "superpoint_manifest.json")
    torch.save(synthetic_weights.state_dict(superpoint), models / "betwixt" / "superpoint_v1.pth")
    matcher = synthetic_weights.load_manifest(STORED / "gluestick" / "manifest.json")
    weights = {f"matcher.{key}": value for key, value in synthetic_weights.state_dict(matcher).items()}
    torch.save({"model": weights}, models / "betwixt" / "checkpoint_GlueStick_MD.tar")
    tooncrafter_stand_ins.write_models(models)
    for name in ONLY_LISTED:
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).touch()
    for stand_in, published in (("standin_det", "yolox_l"), ("standin_pose", "dw-ll_ucoco_384")):
        shutil.copyfile(STORED / "dwpose" / f"{stand_in}.onnx", models / "dwpose" / f"{published}.onnx")
