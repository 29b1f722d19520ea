"""From files to a decoded clip on a real server, with the miniature SVD."""

import copy

import pytest
import torch
from betwixt.launcher.failures import ExecutionFailed, Interrupted
from PIL import Image
from safetensors.torch import save_file

pytestmark = pytest.mark.server
FRAMES, STEPS = 4, 3
LORA_KEY = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q"


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def graph(frames: int = FRAMES, steps: int = STEPS, seed: int = 1) -> dict:
    """FCVG, one node per stage; the conditions are poses, so that no further model is needed."""
    key_frames = {"start_image": ["fit", 0], "end_image": ["fit", 1]}
    conds = {name: ["encode", i] for i, name in enumerate(("positive", "negative"))}
    conds |= {f"{name}_backward": ["encode", i + 2] for i, name in enumerate(("positive", "negative"))}
    return {
        "svd": node("MiniatureImageOnlyCheckpointLoader", ckpt_name="svd_xt_1_1.safetensors"),
        "unet": node("BetwixtLoadFCVGModel", file="unet.safetensors", weight_dtype="default"),
        "encoder": node("BetwixtLoadControlNeXt", file="controlnext.safetensors"),
        "first": node("LoadImage", image="betwixt_start.png"),
        "last": node("LoadImage", image="betwixt_end.png"),
        "fit": node(
            "BetwixtFitKeyFrames",
            start_image=["first", 0],
            end_image=["last", 0],
            **{"width": 64, "height": 64, "fit": "crop"},
        ),
        "encode": node(
            "BetwixtInbetweenConditioning",
            **{"clip_vision": ["svd", 1], "vae": ["svd", 2], **key_frames, "width": 64, "height": 64, "fit": "crop"},
            **{"frame_count": frames, "fps": 7, "motion_bucket": 127, "augmentation": 0.02, "seed": 0},
        ),
        "pictures": node("EmptyImage", width=64, height=64, batch_size=frames, color=0x8040C0),
        "apply": node(
            "BetwixtApplyControlNeXt",
            **{"model": ["unet", 0], "controlnext": ["encoder", 0], "conditions": ["pictures", 0], "strength": 1.0},
            **{"start_percent": 0.0, "end_percent": 1.0, "timing": "frame by frame"},
        ),
        "guider": node(
            "BetwixtBidirectionalGuider",
            **{"model": ["apply", 0], **conds, "min_guidance": 3.0, "max_guidance": 3.0, "fusion": "linear"},
            **{"guided_below": 1000.0, "guided_above": 0.0, "published_context": False},
        ),
        "noise": node("RandomNoise", noise_seed=seed),
        "sigmas": node("KarrasScheduler", steps=steps, sigma_max=700.0, sigma_min=0.002, rho=7.0),
        "sampler": node("KSamplerSelect", sampler_name="euler"),
        "sample": node(
            "SamplerCustomAdvanced",
            **{"noise": ["noise", 0], "guider": ["guider", 0], "sampler": ["sampler", 0], "sigmas": ["sigmas", 0]},
            latent_image=["encode", 4],
        ),
        "decode": node(
            "BetwixtDecodeVideoLatents",
            **{"samples": ["sample", 0], "vae": ["svd", 2], "chunk": 2, "overlap": 0, **key_frames},
            **{"drift_correction": 0.5, "exact_ends": True},
        ),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="clip"),
    }


def clip(client, graph: dict, folder) -> list[bytes]:
    """The pixels of the saved frames; the files themselves hold the graph as well."""
    run = client.run(graph, timeout=120)
    files = client.fetch_all([file for file in run.files if file.node == "save"], folder)
    return [Image.open(path).tobytes() for path in files]


def changed(base: dict, *path_and_value) -> dict:
    """A copy of the graph with one input replaced: node, input, value."""
    name, entry, value = path_and_value
    copied = copy.deepcopy(base)
    copied[name]["inputs"][entry] = value
    return copied


def test_a_clip_with_previews_and_progress(sampling_client):
    run = sampling_client.run(graph(), timeout=120)
    assert len([file for file in run.files if file.node == "save"]) == FRAMES
    assert max(value for value, _ in run.progress["sample"]) == STEPS
    assert run.previews.get("sample", 0) >= 1
    report = sampling_client.run({**graph(), "show": node("PreviewAny", source=["unet", 1])}, timeout=120)
    assert "stored as float16, loaded as float32" in report.outputs["show"]["text"][0]


def test_same_seed_same_bytes(sampling_client, tmp_path):
    first = clip(sampling_client, graph(seed=5), tmp_path / "a")
    sampling_client.free()
    again = clip(sampling_client, graph(seed=5), tmp_path / "b")
    other = clip(sampling_client, graph(seed=6), tmp_path / "c")
    assert len(first) == FRAMES and first == again
    # the ends are the key frames, whatever the seed
    assert first[0] == other[0] and first[-1] == other[-1] and first[1:-1] != other[1:-1]


def test_a_lora_acts(sampling_client, sampling_base, tmp_path):
    generator = torch.Generator().manual_seed(0)
    lora = {
        f"{LORA_KEY}.lora_up.weight": torch.randn(64, 4, generator=generator),
        f"{LORA_KEY}.lora_down.weight": torch.randn(4, 64, generator=generator),
    }
    (sampling_base / "models" / "loras").mkdir(parents=True, exist_ok=True)
    save_file(lora, sampling_base / "models" / "loras" / "motion.safetensors")
    plain = clip(sampling_client, graph(), tmp_path / "a")
    tuned = changed(graph(), "apply", "model", ["lora", 0])
    tuned["lora"] = node("LoraLoaderModelOnly", model=["unet", 0], lora_name="motion.safetensors", strength_model=1.0)
    assert clip(sampling_client, tuned, tmp_path / "b")[1:-1] != plain[1:-1]
    assert clip(sampling_client, graph(), tmp_path / "c") == plain


@pytest.mark.parametrize("stage", ["guider", "one node"])
def test_cancel_stops_within_a_step(sampling_client, stage):
    long, name = graph(steps=60), "sample"
    if stage == "one node":
        name = "inbetween"
        long[name] = node(
            "BetwixtInbetween",
            **{"model": ["unet", 0], "conditionings": ["encode", 5], "mode": "FCVG", "steps": 60, "seed": 0},
            **{"mode.min_guidance": 3.0, "mode.max_guidance": 3.0, "strength": 1.0},
        )
        long["decode"]["inputs"]["samples"] = [name, 0]
        del long["sample"]
    reached = []

    def watch(event):
        if event.kind == "progress" and event.node == name:
            reached.append(event.value)
            if len(reached) == 1:
                sampling_client.interrupt(event.data["prompt_id"])

    with pytest.raises(Interrupted, match=name):
        sampling_client.run(long, watch=watch, timeout=120)
    assert reached[-1] <= reached[0] + 2 < 60  # the step under way when the request arrives, and its report


def test_every_mode_runs_through_one_node(sampling_client, tmp_path):
    clips = {}
    modes = {
        "FCVG": {"min_guidance": 3.0, "max_guidance": 3.0},
        "TRF": {
            **{"jump_length": 1, "jump_samples": 2, "repeat_ratio": 0.3, "noise_scale": 1.0},
            **{"stale_input_scale": False, "min_guidance": 1.0, "max_guidance": 3.0},
        },
        "ViBiD": {"scale": 1.0},
    }
    for mode, options in modes.items():
        base = graph()
        base["sample"] = node(
            "BetwixtInbetween",
            **{"model": ["unet", 0], "conditionings": ["encode", 5], "mode": mode, "steps": STEPS, "seed": 0},
            **{f"mode.{name}": value for name, value in options.items()},
            strength=1.0,
        )
        clips[mode] = clip(sampling_client, base, tmp_path / mode)[1:-1]
    assert clips["FCVG"] != clips["TRF"] != clips["ViBiD"] != clips["FCVG"]


@pytest.mark.parametrize(
    "change, at, words",
    [
        (("pictures", "batch_size", 6), "sample", "6 condition pictures and 4 frames"),
        (("encode", "width", 72), "decode", "'start_image' is 64x64 and the clip 72x64"),
        (("decode", "overlap", 2), "decode", "overlap is 2 and the chunk 2"),
    ],
)
def test_mistakes_name_the_node_and_the_remedy(sampling_client, change, at, words):
    with pytest.raises(ExecutionFailed, match=words) as failed:
        sampling_client.run(changed(graph(seed=9), *change), timeout=120)
    assert failed.value.node_id == at
