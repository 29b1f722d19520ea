"""Sketch guidance of ToonCrafter."""

import pytest
import torch
from betwixt.common.errors import BetwixtError

from support.runs.tooncrafter_graph import FRAMES, SIZE, conditioned, sample, sketched


def test_sketches_guide_the_model(tooncrafter, sketch_encoder):
    results = {}
    for name, changes in (
        ("off", {"strength": 0.0}),
        ("dark", {}),
        ("white", {"lines": "white on black"}),
        ("333", {"context": "text and image (333 tokens)"}),
        ("late", {"start_percent": 1.0}),
    ):
        positive, negative, latent = sketched(tooncrafter, sketch_encoder, **changes)
        results[name] = sample(tooncrafter.model, positive, negative, latent, steps=1)
    difference = {name: float((result - results["off"]).abs().max()) for name, result in results.items()}
    assert difference["late"] == 0 and min(difference[name] for name in ("dark", "white", "333")) > 1e-3
    assert not torch.equal(results["dark"], results["white"]) and not torch.equal(results["dark"], results["333"])


def test_dark_lines_are_inverted_and_fitted_like_the_key_frames(tooncrafter, sketch_encoder):
    hint = sketched(tooncrafter, sketch_encoder)[0][0][1]["control"].cond_hint_original
    assert hint.shape == (16, 1, SIZE, SIZE)
    assert hint.flatten(1).amax(dim=1).tolist() == [1.0, *[0.0] * 14, 1.0]
    assert float(hint[0, 0, 0, 0]) == 0 and float(hint[0, 0, SIZE // 2 - 4, 5]) > 0.5


def test_hints_of_three_channels_as_the_stock_node_sets_them_work(tooncrafter, sketch_encoder):
    positive, negative, _, latent, _ = conditioned(tooncrafter)
    control = sketch_encoder.copy().set_cond_hint(torch.rand(FRAMES, 3, SIZE, SIZE), 1.0, (0.0, 1.0))
    guided = [[[tokens, {**entry, "control": control}]] for ((tokens, entry),) in (positive, negative)]
    assert not torch.equal(
        sample(tooncrafter.model, *guided, latent, steps=1),
        sample(tooncrafter.model, positive, negative, latent, steps=1),
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frames": "all"}, "2 sketches for 16 frames"),
        ({"frames": "0, 16"}, "frame 16"),
        ({"sketches": torch.ones(2, 100, 48, 3)}, "48x100"),
        ({"sketches": torch.full((2, 48, 80, 3), float("nan"))}, "NaN"),
        ({"positive": [[torch.zeros(1, 77, 64), {}]]}, "ToonCrafter Conditioning"),
        ({"control_net": object()}, "A ControlNet is needed"),
    ],
)
def test_mistakes_with_sketches_are_named(tooncrafter, sketch_encoder, changes, said):
    with pytest.raises(BetwixtError, match=said):
        sketched(tooncrafter, sketch_encoder, **changes)
