"""Every node of the pack on small sound values, of which single ones can be replaced by others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from support.models.stand_ins import write_models

SIZE, FRAMES = 64, 3
CURVE = {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "linear"}


@contextlib.contextmanager
def small_base(folder: Path) -> Iterator[Path]:
    """ComfyUI's folders inside ``folder``, with small files under the published names."""
    import folder_paths

    from support.models import tiny_svd

    write_models(folder / "models")
    tiny_svd.write_models(folder / "models")
    for name in ("input", "output"):
        (folder / name).mkdir()
    (folder / "input" / "pose.json").write_text('[{"people": [], "canvas_width": 64, "canvas_height": 64}]')
    changed = {
        "folder_names_and_paths": {
            name: ([str(folder / "models" / name)], kinds)
            for name, (_, kinds) in folder_paths.folder_names_and_paths.items()
        },
        "filename_list_cache": {},
        "models_dir": str(folder / "models"),
        "input_directory": str(folder / "input"),
        "output_directory": str(folder / "output"),
    }
    before = {name: getattr(folder_paths, name) for name in changed}
    vars(folder_paths).update(changed)
    try:
        yield folder
    finally:
        vars(folder_paths).update(before)


def sound_values(base: Path) -> dict[tuple[str, str], object]:
    """(family of nodes or "", type of wire) -> a value; those that nodes of the pack make are added as these run."""
    from betwixt.fcvg_core.poses.pose_keypoint import write_pose_keypoints
    from betwixt.nodes.host.svd.model import model_from
    from betwixt.nodes.host.tooncrafter.files import load_checkpoint
    from betwixt.rerender_core.flow.estimation import DenseInverseSearch

    from support.miniature_nodes import tooncrafter
    from support.models import tiny_ltx, tiny_sd15, tiny_svd
    from support.pictures.random_poses import random_pose
    from support.runs import tooncrafter_graph
    from support.runs.rerender_runs import clip

    sd15 = tiny_sd15.weights()
    toon = load_checkpoint(str(base / "models" / "checkpoints" / "tooncrafter_512_interp-fp16.safetensors"))
    person = {"x": 0, "y": 0, "width": 40, "height": 60, "label": "person", "score": 0.9}
    return {
        ("", "IMAGE"): clip(FRAMES),
        ("", "MASK"): torch.ones(1, SIZE, SIZE),
        ("", "FLOW_MODEL"): DenseInverseSearch("ultrafast"),
        ("", "CURVE"): CURVE,
        ("", "TRACKS"): {"track_path": torch.rand(4, 2, 2) * SIZE, "track_visibility": torch.ones(4, 2)},
        ("", "BOUNDING_BOX"): [[person]] * FRAMES,
        ("", "POSE_KEYPOINT"): write_pose_keypoints([random_pose(1, 2, canvas=(SIZE, SIZE))]),
        ("", "SIGMAS"): torch.tensor([5.0, 1.0, 0.0]),
        ("", "OPTICAL_FLOW"): patcher(torch.nn.Identity()),
        ("FCVG", "MODEL"): model_from(tiny_svd.unet_weights(), "unet")[0],
        ("FCVG", "CLIP_VISION"): tiny_svd.clip_vision(),
        ("FCVG", "VAE"): tiny_svd.temporal_vae(),
        ("FCVG", "LATENT"): {"samples": torch.zeros(FRAMES, 4, 8, 8)},
        ("ToonCrafter", "MODEL"): toon.model,
        ("ToonCrafter", "CLIP_VISION"): toon.clip_vision,
        ("ToonCrafter", "TOONCRAFTER_FIRST_STAGE"): toon.first_stage,
        ("ToonCrafter", "CONDITIONING"): tooncrafter_graph.text(toon, "a scene"),
        ("Measures", "CLIP"): tooncrafter.text_encoder(),
        ("Measures", "CLIP_VISION"): tooncrafter.image_encoder(),
        ("No model", "VAE"): tiny_ltx.vae(),
        ("No model", "LATENT"): {"samples": torch.zeros(1, tiny_ltx.LATENT_CHANNELS, 1, 2, 2)},
        ("No model", "CONDITIONING"): [[torch.zeros(1, 4, 32), {}]],
        ("Rerender", "MODEL"): tiny_sd15.model(sd15),
        ("Rerender", "VAE"): tiny_sd15.vae(sd15),
        ("Rerender", "CONDITIONING"): tiny_sd15.text(),
    }


def patcher(network):
    import comfy.model_patcher

    return comfy.model_patcher.CoreModelPatcher(network, torch.device("cpu"), torch.device("cpu"))


SMALL = {  # node -> inputs other than the defaults, so that a case takes a fraction of a second
    "BetwixtInterpolateConditions": {"frame_count": 3},
    "BetwixtInbetweenConditioning": {"width": SIZE, "height": SIZE, "frame_count": FRAMES},
    "BetwixtFitKeyFrames": {"width": SIZE, "height": SIZE},
    "BetwixtFindMotionLayers": {"detail": "quick"},
    "BetwixtSaveSegment": {"masks": torch.ones(FRAMES, SIZE, SIZE)},
    "BetwixtGuideFrames": {"frame_count": FRAMES, "confidence": torch.ones(FRAMES, SIZE, SIZE)},
    "BetwixtInbetweenWithoutModel": {"frame_count": 3, "detail": "quick"},
    "BetwixtAddLTXGuides": {"guide_images": torch.full((1, SIZE, SIZE, 3), 0.5)},
    "BetwixtFitFrames": {"resolution": SIZE},
    "BetwixtToonCrafterConditioning": {"width": SIZE, "height": SIZE, "frame_count": FRAMES},
    "BetwixtEncodeWithReferences": {"width": SIZE, "height": SIZE},
    "BetwixtInbetween": {"steps": 1},
    "BetwixtPatchSynthesisSettings": {"search_votes": 1},
    "BetwixtRerenderKeyFrames": {"steps": 2, "strength": 0.6, "first_frame_only": True, "key_numbers": "0, 1, 2"},
    "BetwixtCompareRoundTrips": {"trips": 1},
    "BetwixtLoadPoseKeypoints": {"file": "pose.json"},
    "BetwixtPlaceKeyFrames": {"numbers": "0, 1, 2"},
    "BetwixtApplySketches": {"frames": "0, 1, 2"},
}
ONE_PICTURE = ("start_image", "end_image", "image", "reference")
BY_FAMILY = ("MODEL", "CLIP", "CLIP_VISION", "VAE", "CONDITIONING", "LATENT", "CONTROL_NET")
FIRST = ("BetwixtWeightFreeLineMatcher", "BetwixtToonCrafterConditioning")  # whose outputs the others are to get


def family(node) -> str:
    return node.GET_SCHEMA().category.rpartition("/")[2]


class Lacking(Exception):
    """A node needs a value that nobody has made yet."""


class Bench:
    """Runs nodes on sound values with single inputs changed."""

    def __init__(self, nodes, base: Path):
        self.values = sound_values(base)
        self.nodes = sorted(nodes, key=lambda node: node.GET_SCHEMA().node_id not in FIRST)

    def sound(self, node, entry) -> object:
        """A value of the schema's default, or of the wire's type; None for an optional wire of which there is none."""
        from comfy_api.latest import io

        if isinstance(entry, io.DynamicCombo.Input):
            return self.option(node, entry, entry.options[0])
        if isinstance(entry, io.Autogrow.Input):
            return {name: self.sound(node, entry.template.input) for name in entry.template.names[:2]}
        kind = entry.get_io_type()
        if getattr(entry, "default", None) is not None and kind != "CURVE":
            return entry.default
        if kind == "COMBO":
            return entry.options[0]
        value = self.values.get((family(node), kind), self.values.get(("", kind)))
        if value is None and not entry.optional:
            raise Lacking(f"{node.GET_SCHEMA().node_id} needs {kind}")
        one = kind == "IMAGE" and entry.id in ONE_PICTURE and family(node) != "Measures"  # there a clip is compared
        return value[:1] if one else value

    def option(self, node, entry, option) -> dict:
        return {entry.id: option.key} | {inner.id: self.sound(node, inner) for inner in option.inputs}

    def inputs(self, node) -> dict:
        schema = node.GET_SCHEMA()
        given = {entry.id: self.sound(node, entry) for entry in schema.inputs} | SMALL.get(schema.node_id, {})
        given = {name: value for name, value in given.items() if value is not None}
        return {name: [value] for name, value in given.items()} if schema.is_input_list else given

    def replace(self, node, inputs: dict, name: str, value: object) -> None:
        """Put ``value`` in the place of one input, called as in the texts of the interface ("timing_easing")."""
        from comfy_api.latest import io

        schema = node.GET_SCHEMA()
        for entry in schema.inputs:
            if name == entry.id:
                inputs[name] = [value] if schema.is_input_list else value
            elif isinstance(entry, io.DynamicCombo.Input) and name.startswith(f"{entry.id}_"):
                inner = name[len(entry.id) + 1 :]
                having = [option for option in entry.options if inner in (one.id for one in option.inputs)]
                if having:
                    inputs[entry.id] = self.option(node, entry, having[0]) | {inner: value}
            elif isinstance(entry, io.Autogrow.Input) and name.startswith(f"{entry.id}_"):
                others = inputs.get(entry.id)
                parts = others if isinstance(others, dict) else {}
                inputs[entry.id] = {**parts, entry.template.names[0]: value}

    def run(self, node, inputs: dict):
        clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
        with torch.inference_mode():
            return clone.EXECUTE_NORMALIZED(**inputs)

    def run_all(self) -> list:
        """Every node on its sound inputs, those first whose inputs are there; outputs become inputs of others."""
        waiting, done = list(self.nodes), []
        while waiting:
            lacking = []
            for node in waiting:
                try:
                    inputs = self.inputs(node)
                except Lacking as error:
                    lacking.append((node, error))
                    continue
                result, schema = self.run(node, inputs), node.GET_SCHEMA()
                done.append(node)
                for output, value in zip(schema.outputs, result.args or (), strict=True):
                    kind = output.get_io_type()
                    key = (family(node) if kind in BY_FAMILY else "", kind)
                    if not output.is_output_list and (key not in self.values or schema.node_id in FIRST):
                        self.values[key] = value
            assert len(lacking) < len(waiting), [str(error) for _, error in lacking]
            waiting = [node for node, _ in lacking]
        return done

    def cases(self, node, odd: dict):
        """(what is changed, inputs)."""
        from comfy_api.latest import io

        schema, sound = node.GET_SCHEMA(), self.inputs(node)
        listed = schema.is_input_list
        for entry in schema.inputs:
            for name, value in odd.items():
                yield f"{entry.id}: {name}", sound | {entry.id: [value] if listed else value}
                if isinstance(entry, io.Autogrow.Input):
                    parts = dict.fromkeys(entry.template.names[:1], value)
                    yield f"{entry.id}, one of two: {name}", sound | {entry.id: sound[entry.id] | parts}
            for option in entry.options if isinstance(entry, io.DynamicCombo.Input) else ():
                chosen = self.option(node, entry, option)
                yield f"{entry.id}: {option.key}", sound | {entry.id: chosen}
                for inner in option.inputs:
                    for name, value in odd.items():
                        yield (
                            f"{entry.id}.{option.key}.{inner.id}: {name}",
                            sound | {entry.id: chosen | {inner.id: value}},
                        )
