"""Key frames stylised on a real server with the miniature SD1.5: two ControlNets, a LoRA, cancel, changed settings."""

import copy
import io

import numpy as np
import pytest
import torch
from betwixt.launcher.failures import ExecutionFailed
from PIL import Image
from safetensors.torch import save_file

pytestmark = pytest.mark.server
KEYS, STEPS, EARLY = 3, 4, 2  # EARLY: steps before pixel-aware fusion, which both renders of a key frame share
CROP = {"crop_left": 0, "crop_right": 0, "crop_top": 0, "crop_bottom": 0}
LORA_KEY = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": {name.replace("__", "."): value for name, value in inputs.items()}}


def window(start: float, end: float) -> dict:
    return {"start": start, "end": end}


def graph(steps: int = STEPS, seed: int = 1, **changes) -> dict:
    """All constraints, both ControlNets and the LoRA over three frames of the demo's clip; changes of the key node."""
    inputs = {"steps": steps, "cfg": 7.5, "strength": 0.95, "seed": seed, "first_frame_only": False}
    inputs |= {"anchor": "first key frame", "keep_colours": True, "on_cancel": "keep finished frames"}
    inputs |= {"model": ["lora", 0], "vae": ["load", 2], "positive": ["second", 0], "negative": ["second", 1]}
    inputs |= {"key_frames": ["keys", 0], "key_numbers": ["keys", 1], "constraints": ["adaptive", 0]}
    inputs |= {"flow_model": ["flow", 0]} | changes
    applied = {"strength": 0.7, "start_percent": 0.0, "end_percent": 1.0, "control_net": ["control", 0]}
    encode = {"compensation": 1.0, "error_threshold": 0.25}
    return {
        "clip": node("LoadVideo", file="betwixt_clip.mp4"),
        "frames": node("GetVideoComponents", video=["clip", 0]),
        "fit": node("BetwixtFitFrames", frames=["frames", 0], resolution=64, side="short", **CROP),
        "keys": node("BetwixtSelectKeyFrames", frames=["fit", 0], by="interval", by__every=5, include_last=True),
        "load": node("MiniatureCheckpointLoaderSimple", ckpt_name=""),
        "lora": node("LoraLoaderModelOnly", model=["load", 0], lora_name="style.safetensors", strength_model=1.0),
        "prompt": node("CLIPTextEncode", clip=["load", 1], text="a watercolour painting"),
        "negative": node("CLIPTextEncode", clip=["load", 1], text="blurry"),
        "control": node("MiniatureControlNetLoader", control_net_name=""),
        "edges": node("Canny", image=["keys", 0], low_threshold=0.1, high_threshold=0.3),
        "first": node(
            "ControlNetApplyAdvanced", positive=["prompt", 0], negative=["negative", 0], image=["edges", 0], **applied
        ),
        "blurred": node("ImageBlur", image=["keys", 0], blur_radius=3, sigma=2.0),
        "second": node(
            "ControlNetApplyAdvanced", positive=["first", 0], negative=["first", 1], image=["blurred", 0], **applied
        ),
        "flow": node("BetwixtLoadFlowModel", method="DIS", method__preset="ultrafast"),
        "cross": node(
            "BetwixtCrossFrameAttention",
            **window(0.0, 1.0),
            loose=False,
            update_every=1,
            replace_previous="with pixel-aware fusion",
        ),
        "shape": node("BetwixtShapeAwareFusion", **window(0.0, 0.3), constraints=["cross", 0]),
        "pixel": node(
            "BetwixtPixelAwareFusion",
            **{**window(0.4, 0.9), **encode, "mask_strength": 0.5, "inner_strength": 0.9, "smooth_boundary": True},
            constraints=["shape", 0],
        ),
        "adaptive": node("BetwixtAdaptiveLatentAdjustment", **window(0.7, 1.0), constraints=["pixel", 0]),
        "rerender": node("BetwixtRerenderKeyFrames", **inputs),
        "show": node("PreviewImage", images=["rerender", 0]),
    }


@pytest.fixture(scope="module", autouse=True)
def lora(sampling_base):
    folder = sampling_base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    weights = {f"{LORA_KEY}.lora_down.weight": torch.randn(4, 32, generator=generator)}
    weights |= {
        f"{LORA_KEY}.lora_up.weight": torch.randn(32, 4, generator=generator),
        f"{LORA_KEY}.alpha": torch.tensor(4.0),
    }
    save_file(weights, folder / "style.safetensors")


def pictures(client, run) -> np.ndarray:
    shown = [file for file in run.files if file.node == "show"]
    return np.stack([np.asarray(Image.open(io.BytesIO(client.fetch(file)))) for file in shown])


def test_key_frames_of_a_clip(sampling_client):
    run = sampling_client.run(graph(), timeout=120)
    result = pictures(sampling_client, run)
    assert result.shape == (KEYS, 64, 128, 3) and result.std() > 5
    values = [value / maximum for value, maximum in run.progress["rerender"]]
    assert values == sorted(values) and values[-1] == 1
    assert run.previews["rerender"] == STEPS * (2 * KEYS - 1) - EARLY * (KEYS - 1) + KEYS  # every step, every frame


def without(parts: dict, name: str) -> dict:
    """The graph with a node taken out of the line."""
    parts = copy.deepcopy(parts)
    if name == "lora":
        parts["rerender"]["inputs"]["model"] = ["load", 0]
    else:
        parts["rerender"]["inputs"] |= {"positive": ["first", 0], "negative": ["first", 1]}
    return parts


def test_each_part_matters_and_settings_changed_in_between_leave_no_trace(sampling_client):
    client = sampling_client
    first = pictures(client, client.run(graph(), timeout=120))
    for other in (without(graph(), "lora"), without(graph(), "second"), graph(seed=2), graph(steps=3)):
        changed = client.run(other, timeout=120)
        assert "rerender" in changed.nodes
        assert not np.array_equal(pictures(client, changed), first)
    client.free()
    assert np.array_equal(pictures(client, client.run(graph(), timeout=120)), first)


def test_a_cancelled_run_goes_on_with_what_is_finished_and_the_next_one_is_whole(sampling_client):
    client, asked = sampling_client, []

    def cancel_in_the_second_frame(event):
        if event.kind == "progress" and event.node == "rerender" and not asked:
            if event.data["value"] / event.data["max"] > 0.3:
                asked.append(event)
                client.interrupt(event.data["prompt_id"])

    run = client.run(graph(seed=3), watch=cancel_in_the_second_frame, timeout=120)
    kept = pictures(client, run)
    again = client.run(graph(seed=3), timeout=120)  # the same graph at once: the host must not answer with the part
    whole = pictures(client, again)
    assert "rerender" in again.nodes and "keys" in again.cached
    assert len(whole) == KEYS and 0 < len(kept) < KEYS and np.array_equal(kept, whole[: len(kept)])
    assert client.run(graph(seed=3), timeout=120).nodes == []


@pytest.mark.parametrize(
    ("name", "inputs", "said"),
    [
        ("edges", {"image": ["fit", 0]}, "11 pictures for 3 key frames"),
        ("shape", {"start": 0.5, "end": 0.1}, "ends at 0.1"),
        ("keys", {"by": "list", "by.numbers": "0, 5, 99"}, "Key frame 99"),
        ("rerender", {"key_numbers": "0, 1"}, "2 numbers"),
    ],
)
def test_mistakes_stop_the_graph_where_they_are(sampling_client, name, inputs, said):
    parts = graph()
    parts[name]["inputs"] |= inputs
    with pytest.raises(ExecutionFailed, match=said) as caught:
        sampling_client.run(parts, timeout=60)
    assert caught.value.exception_type == "BetwixtError"
