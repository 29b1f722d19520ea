"""Every network and every loop once in a chosen precision on the host's device, compared with its golden case.

The goldens are float32 on a CPU; what is asked here is how far half precision, or another device, leads away from
them. ComfyUI must be importable.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from unittest import mock

import comfy.model_management as management
import torch
from torch import Tensor

from support.golden import STORED, Case, without_tf32
from support.models import synthetic_weights, tiny_sd15, tooncrafter_checkpoints
from tests.parity import fcvg_networks, gluestick, gmflow, rerender, rerender_keyframes, tooncrafter_networks
from tests.parity import tooncrafter_sampling as tooncrafter_loops

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
Compared = Iterator[tuple[str, Tensor, Tensor]]  # (name, result, golden)

# Probe -> relative distance (L2) from the golden that is tolerated in fp32 on a card, fp16 and bf16.
TOLERANCES = {
    "ControlNeXt": (1e-4, 5e-3, 4e-2),
    "FCVG UNet": (1e-4, 5e-3, 4e-2),
    "FCVG loop": (1e-4, 5e-3, 4e-2),
    "GI": (1e-4, 5e-3, 4e-2),
    "ToonCrafter UNet": (1e-4, 5e-3, 4e-2),
    "ToonCrafter loop": (1e-4, 5e-3, 4e-2),
    "ToonCrafter first stage": (1e-4, 1e-2, 8e-2),
    "ToonCrafter resampler": (1e-4, 5e-3, 4e-2),
    "Sketch encoder": (1e-4, 5e-3, 4e-2),
    "Rerender key frames": (1e-3, 2e-2, 1e-1),
    "GMFlow": (1e-4, 5e-2, 3e-1),
    "SuperPoint": (1e-4, 5e-3, 4e-2),
    "GlueStick": (1e-4, 5e-3, 4e-2),
}
ALWAYS_FLOAT32 = ("GMFlow",)  # docs/methods/flow.md, Cost and precision


def distance(actual: Tensor, expected: Tensor) -> float:
    """Relative distance; NaN where the result holds any."""
    actual, expected = (torch.as_tensor(value).detach().cpu().double() for value in (actual, expected))
    if actual.shape != expected.shape:
        raise ValueError(f"{list(actual.shape)} instead of {list(expected.shape)}")
    return float((actual - expected).norm() / expected.norm().clamp_min(1e-30))


def _case(name: str) -> Case:
    return Case(STORED / f"{name}.safetensors")


def _given(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(management.get_torch_device(), dtype)


def _network(network: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    return network.to(management.get_torch_device(), dtype)


def controlnext(name: str) -> Compared:
    case, dtype = _case("fcvg/controlnext_a"), DTYPES[name]
    network = _network(fcvg_networks.encoder(case).model, dtype)
    stem = network.stem(_given(case["condition_u8"].movedim(-1, 1).float() / 255, dtype))
    for key in sorted(key for key in case.tensors if key.startswith("output_")):
        time = _given(case[key.replace("output", "timestep")], torch.float32)
        yield key, network.encode(stem, time), case[key]


@functools.lru_cache(maxsize=1)
def _svd_weights() -> dict:
    return synthetic_weights.state_dict(synthetic_weights.load_manifest(STORED / "fcvg" / "manifest.json.gz"))


@functools.lru_cache(maxsize=1)
def _svd(name: str):
    from betwixt.nodes.host.svd.model import model_from

    return model_from(_svd_weights(), "manifest", name)[0]


def fcvg_unet(name: str) -> Compared:
    case, dtype, model = _case("fcvg/unet_forward_a"), DTYPES[name], _svd(name)
    controlled = fcvg_networks.with_control(case, model, case["condition_u8"], case.parameters["control_weight"])
    management.load_models_gpu([model, *fcvg_networks.additional(controlled)])
    values = [_given(case[key], dtype) for key in ("sample", "encoder_hidden_states")]
    values.append(case["added_time_ids"])
    for kind, key in ((model, "out_ldm_nocontrol"), (controlled, "out_ldm")):
        yield key, fcvg_networks.run_unet(kind, *values, _given(case["timestep"], torch.float32)), case[key]


def fcvg_loop(name: str) -> Compared:
    case = _case("fcvg/loop_b")
    count = sum(key.startswith("condition_") for key in case.tensors)
    pictures = torch.stack([torch.from_numpy(case.png(f"condition_{i:02d}.png")) for i in range(count)])
    model = fcvg_networks.with_control(case, _svd(name), pictures, case.parameters["cw"])
    result, _ = fcvg_networks._through_guider(case, model, published=False)
    yield "latents_ldm", result * fcvg_networks.LATENT_SCALE, case["latents_ldm"][0]


def gi(name: str) -> Compared:
    case = _case("fcvg/gi_attnflip_a")
    out = fcvg_networks.gi_outputs(case, _svd(name), lambda value: _given(value, DTYPES[name]))
    yield from ((key, value, case[key]) for key, value in out.items() if key in case)


@functools.lru_cache(maxsize=1)
def _tooncrafter(name: str):
    with mock.patch.object(management, "vae_dtype", lambda *_: DTYPES[name]):
        return tooncrafter_checkpoints.load(STORED / "tooncrafter" / "manifest.json.gz", name)


def tooncrafter_unet(name: str) -> Compared:
    case, loaded = _case("tooncrafter/unet_T8_per_frame_tokens"), _tooncrafter(name)
    management.load_models_gpu([loaded.model])
    out = tooncrafter_networks.run_unet(loaded, case, _given(case["x"], DTYPES[name]))
    yield "out", out, case["out"]


def tooncrafter_loop(name: str) -> Compared:
    case, loaded = _case("tooncrafter/ddim_trailing4_eta0_cfg1"), _tooncrafter(name)
    conditioning = tooncrafter_loops.conditioning_of(case, "context")
    unconditional = "uncond_context" if "uncond_context" in case else "context"
    both = conditioning, tooncrafter_loops.conditioning_of(case, unconditional)
    run = tooncrafter_loops.sample(loaded, case, both, **tooncrafter_loops.settings(case.name))
    yield "out", run.out, case["out"]


def tooncrafter_first_stage(name: str) -> Compared:
    encoded, decoded, stage = (
        _case("tooncrafter/vae_encode"),
        _case("tooncrafter/vae_decode"),
        _tooncrafter(name).first_stage,
    )
    latents, references = stage.encode((encoded["images"].movedim(1, -1) + 1) / 2)
    yield "mode", latents * tooncrafter_networks.SCALE, encoded["mode_scaled"]
    key = max((key for key in decoded.tensors if key.startswith("z")), key=lambda key: decoded[key].shape[2])
    z = tooncrafter_networks.folded(decoded[key]) / tooncrafter_networks.SCALE
    pictures = stage.decode(z, references, False, lambda share: None)
    yield "pictures", pictures, tooncrafter_networks.as_pictures(decoded[f"out{key[1:]}"])


def tooncrafter_resampler(name: str) -> Compared:
    """Stored in half precision, evaluated in float32; against itself."""
    stage = _tooncrafter("fp32").first_stage
    tokens = torch.randn(1, 257, stage.image_width, generator=torch.Generator().manual_seed(0))
    reference, network = stage.image_tokens(tokens), copy.deepcopy(stage.resampler.model)
    half = _network(network, DTYPES[name])(_given(tokens, torch.float32))
    yield "tokens", half, reference


def sketch_encoder(name: str) -> Compared:
    """Control residuals, against float32 by itself."""
    case, dtype = _case("tooncrafter/sketch_control"), DTYPES[name]
    network, frames = tooncrafter_checkpoints.sketch_encoder(case).control_model, case["x"].shape[2]
    given = [
        tooncrafter_networks.folded(case["x"]),
        torch.zeros(frames, 1, *(8 * side for side in case["x"].shape[-2:])),
    ]
    given += [case["timesteps"].float().expand(frames), case["context"].expand(frames, -1, -1)]

    def residuals(kind: torch.dtype) -> list[Tensor]:
        network.dtype = kind
        x, hint, times, context = (_given(value, kind) for value in given)
        found = _network(network, kind)(x=x, hint=hint, timesteps=times.float(), context=context)
        return [*found["middle"], *found["output"]]

    wanted = [value.clone() for value in residuals(torch.float32)]
    yield from ((f"{number}", *pair) for number, pair in enumerate(zip(residuals(dtype), wanted, strict=True)))


def rerender_key_frames(name: str) -> Compared:
    """The VAE stays in float32: the differences that fidelity-oriented encoding adds back are small."""
    case, dtype = _case("rerender/keyframes_noise_start_8steps"), DTYPES[name]
    weights = rerender.weights(case)
    parts = (
        tiny_sd15.model(weights, dtype=dtype),
        tiny_sd15.control_net(weights, dtype=dtype),
        tiny_sd15.vae(weights, dtype=torch.float32),
    )
    for position, frame in enumerate(rerender_keyframes.rendered(case, parts, every_step=False)[0]):
        key = f"out.key{position}." if position else "out.first."
        if key + "latent" in case:
            yield key + "latent", frame.latent, case[key + "latent"].float()


def gmflow_network(name: str) -> Compared:
    case, dtype = _case("gmflow/flow_pad_61x93"), DTYPES[name]
    network = _network(gmflow.network(case), dtype)
    forward, backward = network(*(_given(case[key][None].float(), dtype) for key in ("image0", "image1")))
    yield "forward flow", forward, case["out.forward_flow"]
    yield "backward flow", backward, case["out.backward_flow"]


def gluestick_network(name: str) -> Compared:
    case, dtype = _case("gluestick/gnn_full_depth"), DTYPES[name]
    network = _network(gluestick.gluestick_network(case), dtype)
    sides = []
    for index in (0, 1):
        wireframe = gluestick._given_wireframe(case, index)
        moved = {
            key: _given(value, dtype if value.is_floating_point() else value.dtype)
            for key, value in vars(wireframe).items()
        }
        sides.append(type(wireframe)(**moved))
    sizes = tuple(tuple(case[f"in.image_size{index}"][0].tolist()) for index in (0, 1))
    points, lines = network(*sides, sizes, gluestick._setting(case, "filter_threshold", 0.2))
    for prefix, found in (("", points), ("line_", lines)):
        yield f"{prefix}log_assignment", found.log_scores[None].float(), case[f"out.{prefix}log_assignment"]


def superpoint_network(name: str) -> Compared:
    case, dtype = _case("gluestick/pair_building_120x160"), DTYPES[name]
    network = _network(gluestick.superpoint_network(case), torch.float32)
    reference, _ = network(_given(case["in.gray0"].float()[None, None] / 255, torch.float32))
    half, _ = _network(network, dtype)(_given(case["in.gray0"].float()[None, None] / 255, dtype))
    yield "scores", half, reference


PROBES: dict[str, Callable[[str], Compared]] = {
    "FCVG UNet": fcvg_unet,
    "FCVG loop": fcvg_loop,
    "ControlNeXt": controlnext,
    "GI": gi,
    "ToonCrafter UNet": tooncrafter_unet,
    "ToonCrafter loop": tooncrafter_loop,
    "ToonCrafter first stage": tooncrafter_first_stage,
    "ToonCrafter resampler": tooncrafter_resampler,
    "Sketch encoder": sketch_encoder,
    "Rerender key frames": rerender_key_frames,
    "GMFlow": gmflow_network,
    "SuperPoint": superpoint_network,
    "GlueStick": gluestick_network,
}


def worst(probe: str, name: str) -> tuple[str, float]:
    """The comparison of ``probe`` in precision ``name`` that is farthest off, and how far (NaN counts as most)."""
    with torch.inference_mode(), without_tf32():
        found = [(what, distance(actual, golden)) for what, actual, golden in PROBES[probe](name)]
    return max(found, key=lambda entry: float("inf") if entry[1] != entry[1] else entry[1])


def tolerance(probe: str, name: str) -> float:
    return TOLERANCES[probe][list(DTYPES).index(name)]
