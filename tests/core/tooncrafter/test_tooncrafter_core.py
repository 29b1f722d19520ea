"""ToonCrafter's own computations that need no host: schedule, key frames, sketches, retiming, variants."""

import pytest
import torch
from betwixt.common.clips import retiming
from betwixt.common.errors import BetwixtError
from betwixt.tooncrafter_core import sketches
from betwixt.tooncrafter_core.checkpoint import detect_variant, take_apart
from betwixt.tooncrafter_core.keyframes import check_size, fit, frame_tokens, key_latents
from betwixt.tooncrafter_core.resampler import Resampler
from betwixt.tooncrafter_core.schedule import Schedule, trailing_timesteps, uniform_timesteps
from betwixt.tooncrafter_core.unet import VideoUNet
from betwixt.tooncrafter_core.unet_config import UNetConfig

from support.golden import STORED
from support.models.synthetic_weights import load_manifest

GOLDEN = STORED / "tooncrafter"
ROOT_BUFFERS = 13


def on_meta(filename: str) -> dict[str, torch.Tensor]:
    """A published file's tensors without values."""
    return {key: torch.empty(e["shape"], device="meta") for key, e in load_manifest(GOLDEN / filename).items()}


@pytest.mark.parametrize(
    ("manifest", "unet_keys", "parameters"),
    [
        ("full_manifest.json.gz", 1516, 1438.85e6),
        ("full_manifest_dynamicrafter_512.json.gz", 1516, 1438.85e6),
        ("full_manifest_dynamicrafter_256.json.gz", 1532, 1438.85e6),
    ],
)
def test_unet_and_resampler_have_the_published_keys_and_shapes(manifest, unet_keys, parameters):
    parts = take_apart(on_meta(manifest))
    config = UNetConfig.of(parts.unet)
    unet = VideoUNet(config, device="meta").state_dict()
    assert {key: value.shape for key, value in unet.items()} == {k: v.shape for k, v in parts.unet.items()}
    assert len(unet) == unet_keys
    assert abs(sum(value.numel() for value in unet.values()) - parameters) < 0.01e6
    resampler = Resampler.of(parts.resampler, heads=12, device="meta").state_dict()
    assert {key: value.shape for key, value in resampler.items()} == {k: v.shape for k, v in parts.resampler.items()}
    assert parts.unknown == []


def test_the_whole_published_file_is_accounted_for():
    manifest = on_meta("full_manifest.json.gz")
    assert len(manifest) == 2668
    parts = take_apart(dict(manifest))
    counts = [len(part) for part in (parts.unet, parts.first_stage, parts.resampler, parts.text, parts.vision)]
    clip_leftovers = 6  # the image embedder's unused text keys
    assert sum(counts) + clip_leftovers + ROOT_BUFFERS == len(manifest)


def scales(final: float, dtype=torch.float32) -> torch.Tensor:
    return torch.cat([torch.linspace(1, final, 400), torch.full((1000,), final)]).to(dtype)


def keys(*names: str, **tensors) -> dict:
    common = {"model.diffusion_model.init_attn.0.norm.weight": torch.zeros(1)}
    return {**common, **{name: torch.zeros(1) for name in names}, **tensors}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    ("contents", "between", "name"),
    [
        (lambda t: keys("first_stage_model.decoder.attn_refinement.0.conv.weight", scale_arr=scales(0.7, t)), True,
         "ToonCrafter"),
        (lambda t: keys(scale_arr=scales(0.7, t)), True, "DynamiCrafter 512 interp"),
        (lambda t: keys(scale_arr=scales(0.7, t)), False, "DynamiCrafter 512"),
        (lambda t: keys(scale_arr=scales(0.3, t)), True, "DynamiCrafter 1024"),
        (lambda t: keys("model.diffusion_model.framestride_embed.0.weight"), True, "DynamiCrafter 256"),
        (lambda t: keys("model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.alpha"), True,
         "DynamiCrafter 256"),
        (lambda t: {f"_forward_module.{k}": v for k, v in keys(scale_arr=scales(0.3, t)).items()}, True,
         "DynamiCrafter 1024"),
    ],
)  # fmt: skip
def test_variants_are_told_apart_whatever_the_precision(contents, between, name, dtype):
    variant = detect_variant(contents(dtype), between_pictures=between)
    assert variant.name == name
    assert variant.dual_reference == (name == "ToonCrafter")
    assert variant.schedule.final_scale == {"DynamiCrafter 1024": 0.3, "DynamiCrafter 256": 1.0}.get(name, 0.7)
    assert variant.steps_spacing == ("uniform" if name == "DynamiCrafter 256" else "trailing")


def test_other_files_are_named():
    stable_diffusion = {"model.diffusion_model.input_blocks.0.0.weight": 0, "cond_stage_model.model.ln_final.weight": 0}
    with pytest.raises(BetwixtError, match="Stable Diffusion 2 checkpoint"):
        detect_variant(stable_diffusion)
    with pytest.raises(BetwixtError, match="0.5"):
        detect_variant(keys(scale_arr=scales(0.5)))


def test_every_number_of_trailing_steps_begins_at_pure_noise_and_falls():
    for steps in range(1, 201):
        visited = trailing_timesteps(steps)
        assert len(visited) == steps and visited[0] == 999 and (visited[1:] < visited[:-1]).all()
    assert len(uniform_timesteps(30)) == 31  # as published
    assert (Schedule().scaled_sigmas[1:] > Schedule().scaled_sigmas[:-1]).all()


def test_sizes_the_network_cannot_take_get_the_nearest():
    check_size(512, 320)
    with pytest.raises(BetwixtError, match="512 and 320"):
        check_size(520, 328)
    with pytest.raises(BetwixtError, match="64 and 64"):
        check_size(8, 64)


@pytest.mark.parametrize("mode", ["published", "crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (64, 64), (1000, 90)])
def test_every_shape_is_fitted(mode, size):
    width, height = size
    out = fit(torch.rand(2, height, width, 3), 192, 128, mode)
    assert out.shape == (2, 128, 192, 3)
    grey = (out == 0.5).all(dim=-1).all(dim=0)
    fills = {"pad": width * 2 != height * 3, "published": width * 2 < height * 3}.get(mode, False)
    assert bool(grey.any()) == fills


def test_pictures_of_the_right_size_are_not_touched():
    picture = torch.rand(1, 128, 192, 3)
    for mode in ("published", "crop", "pad", "stretch"):
        assert torch.equal(fit(picture, 192, 128, mode), picture)


def test_key_latents_of_every_task():
    first, last = torch.full((4, 2, 2), 1.0), torch.full((4, 2, 2), 2.0)
    for task, expected in (
        ("between two pictures", [1, 0, 0, 2]),
        ("loop", [1, 0, 0, 1]),
        ("from one picture", [1, 1, 1, 1]),
    ):
        assert key_latents(first, last, 4, task)[:, 0, 0, 0].tolist() == expected


def test_each_of_sixteen_frames_has_its_own_tokens_and_other_clips_share_all():
    tokens = torch.arange(256.0).view(1, 256, 1)
    own = frame_tokens(tokens, 16)
    assert own.shape == (16, 16, 1) and own[3, 0, 0] == 48
    assert torch.equal(frame_tokens(tokens, 8), tokens.expand(8, -1, -1))


def test_frames_of_sketches():
    assert sketches.parse_frames("all", 4, 4) == [0, 1, 2, 3]
    assert sketches.parse_frames("0, 7 -1", 3, 16) == [0, 7, 15]
    for text, count, said in (
        ("all", 3, "3 sketches for 16"),
        ("0 16", 2, "frame 16"),
        ("0 -16", 2, "twice"),
        ("first", 1, "'first'"),
        ("1 2", 3, "3 sketches for 2"),
    ):
        with pytest.raises(BetwixtError, match=said):
            sketches.parse_frames(text, count, 16)


def test_hints_are_black_without_a_sketch():
    hint = sketches.hints(torch.ones(1, 8, 8, 3), [2], 4)
    assert hint.shape == (4, 1, 8, 8) and hint.flatten(1).mean(dim=1).tolist() == [0, 0, 1, 0]


def test_edges_are_drawn_where_lines_are_and_flat_areas_stay_white():
    picture = torch.full((1, 40, 60, 3), 0.8)
    picture[:, :, 30:] = 0.2
    picture[:, 20, 5:25] = 0.1
    drawn = sketches.edge_sketch(picture)
    assert drawn[0, 20, 15, 0] < 0.1  # a dark line
    assert drawn[0, 5, 5, 0] == 1 and drawn[0, 35, 55, 0] == 1  # flat light and flat dark
    assert drawn[0, 5, 28:33, 0].min() < 0.5  # the edge between them


def test_resampling_keeps_both_ends():
    clip = torch.arange(16.0).view(16, 1, 1, 1)
    assert retiming.resampled(clip, 6).flatten().tolist() == [0, 3, 6, 9, 12, 15]
    assert retiming.resampled(clip, 31, "blend").flatten().tolist() == [i / 2 for i in range(31)]
    assert retiming.resampled(clip, 31)[[0, -1]].flatten().tolist() == [0, 15]
    assert retiming.resampled(clip, 16) is clip


def test_holds_keep_length_and_last_frame():
    clip = torch.arange(7.0).view(7, 1, 1, 1)
    assert retiming.held(clip, 2).flatten().tolist() == [0, 0, 2, 2, 4, 4, 6]
    assert retiming.held(clip, 3).flatten().tolist() == [0, 0, 0, 3, 3, 3, 6]


def test_still_frames_next_to_the_ends_go():
    values = torch.tensor([0, 0.001, 0.002, 0.3, 0.6, 0.601, 0.9, 0.899, 0.9]).view(-1, 1, 1, 1)
    kept = retiming.without_still_ends(values, 0.01).flatten()
    assert torch.allclose(kept, torch.tensor([0, 0.3, 0.6, 0.601, 0.9]))
    assert retiming.without_still_ends(values, 0.0) is values
    assert len(retiming.without_still_ends(torch.zeros(5, 1, 1, 1), 0.01)) == 2
