"""A ComfyUI base directory for tests: the demo's pictures, and small stand-ins for every published model file.

The stand-ins have the names, layout and keys of the published files, so they go through the code that loads those.
"""

import json
import shutil
from pathlib import Path

import torch
from betwixt.common.files.published_files import PUBLISHED_FILES, RIFE
from betwixt.demo.scene import write_inputs

from support.golden import STORED
from support.models import synthetic_weights, tiny_rife, tooncrafter_stand_ins

# The interface must not greet a test with its tour, nor draw over the graph or leave out small texts.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}


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
    (models / RIFE.folder).mkdir(exist_ok=True)
    torch.save(tiny_rife.weights(), models / RIFE.folder / RIFE.name)
    superpoint = synthetic_weights.load_manifest(STORED / "gluestick" / "superpoint_manifest.json")
    torch.save(synthetic_weights.state_dict(superpoint), models / "betwixt" / "superpoint_v1.pth")
    matcher = synthetic_weights.load_manifest(STORED / "gluestick" / "manifest.json")
    weights = {f"matcher.{key}": value for key, value in synthetic_weights.state_dict(matcher).items()}
    torch.save({"model": weights}, models / "betwixt" / "checkpoint_GlueStick_MD.tar")
    tooncrafter_stand_ins.write_models(models)
    for stand_in, published in (("standin_det", "yolox_l"), ("standin_pose", "dw-ll_ucoco_384")):
        shutil.copyfile(STORED / "dwpose" / f"{stand_in}.onnx", models / "dwpose" / f"{published}.onnx")
    for file in PUBLISHED_FILES:  # the others are loaded in full size only: listed, never read; graphs run in miniature
        (models / file.folder).mkdir(parents=True, exist_ok=True)
        (models / file.folder / file.name).touch()
