"""Leaving out what is thrown away or known changes nothing, whatever constraints are connected."""

from itertools import chain, combinations

import pytest
import torch
from betwixt.rerender_core.keyframes.constraints import (
    REPLACEMENTS,
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
)

from support.runs.rerender_runs import SIZE, rendering

PARTS = {
    "cross_frame": CrossFrame((0.0, 1.0), loose=False),
    "shape_aware": ShapeAware((0.0, 0.4)),
    "pixel_aware": PixelAware((0.4, 0.9)),
    "adaptive": Adaptive((0.7, 1.0)),
}
SUBSETS = list(chain.from_iterable(combinations(PARTS, count) for count in range(len(PARTS) + 1)))


def chosen(names) -> KeyframeConstraints:
    return KeyframeConstraints(**{name: PARTS[name] for name in names})


def both_ways(sd15, count: int, **changes) -> tuple[list, list]:
    """Latents with and without the savings."""
    with torch.inference_mode():
        return tuple(
            [frame.latent for frame in rendering(sd15, count, every_step=every_step, **changes)[0].render()]
            for every_step in (False, True)
        )


@pytest.mark.parametrize("names", SUBSETS, ids=lambda names: " ".join(names) or "none")
def test_any_subset_of_constraints_is_bit_identical(sd15, names):
    saved, published = both_ways(sd15, 3, constraints=chosen(names), steps=5, strength=0.75)
    assert all(torch.equal(a, b) for a, b in zip(saved, published, strict=True))


def test_the_previous_frame_stays_the_anchor_where_that_is_chosen(sd15):
    """As published without pixel-aware fusion: one pass per key frame, which replaces nothing."""
    latents, kept = {}, {}
    for replacement in REPLACEMENTS:
        constraints = KeyframeConstraints(CrossFrame(loose=False, replacement=replacement))
        renderer, stores = rendering(sd15, 3, constraints=constraints, every_step=True)
        with torch.inference_mode():
            latents[replacement] = [frame.latent for frame in renderer.render()]
        kept[replacement] = all(tokens is stores.first[slot] for slot, tokens in stores.previous.items())
        assert len(stores.first) > 0
    assert kept == {"always": False, "with pixel-aware fusion": True, "never": True}
    updated, published, never = (torch.cat(latents[replacement]) for replacement in REPLACEMENTS)
    assert torch.equal(published, never)
    assert torch.equal(updated[:2], published[:2])  # the first key frame has the anchor before it in any case
    assert not torch.allclose(updated[2], published[2], atol=1e-3)


def test_with_pixel_aware_fusion_the_published_previous_frame_is_replaced():
    cases = {True: {"always": True, "with pixel-aware fusion": True, "never": False}}
    cases[False] = cases[True] | {"with pixel-aware fusion": False}
    for fused, expected in cases.items():
        found = {name: CrossFrame(replacement=name).replaces(0, fused) for name in REPLACEMENTS}
        assert found == expected
    assert [CrossFrame(update_every=3).replaces(index, False) for index in range(4)] == [True, False, False, True]


REGION = torch.zeros(1, SIZE, SIZE)
REGION[:, :, 16:] = 1


@pytest.mark.parametrize(
    "changes",
    [
        {"refresh": frozenset({1})},
        {"keep_colours": False},
        {"region": REGION},
        {"strength": 1.05},
        {"constraints": KeyframeConstraints(CrossFrame((0.3, 0.7), update_every=2), pixel_aware=PixelAware())},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_so_is_every_option(sd15, changes):
    options = {"constraints": chosen(PARTS), "steps": 5, "strength": 0.75} | changes
    saved, published = both_ways(sd15, 4, **options)
    assert all(torch.equal(a, b) for a, b in zip(saved, published, strict=True))


def test_where_sampling_begins_inside_the_pixel_window_the_injected_noise_is_the_direction(sd15):
    """The published code mixes in the direction of a trajectory that it has thrown away."""
    options = {"constraints": KeyframeConstraints(pixel_aware=PixelAware((0.2, 0.9))), "steps": 8, "strength": 0.5}
    saved, published = both_ways(sd15, 2, **options)
    assert torch.equal(saved[0], published[0]) and not torch.equal(saved[1], published[1])
    renderer, _ = rendering(sd15, 2, **options)
    plans, host_run = [], renderer.host.run

    def watched(frame, plan, attention):
        plans.append(plan)
        return host_run(frame, plan, attention)

    renderer.host.run = watched
    with torch.inference_mode():
        list(renderer.render())
    anchor, rough, final = plans
    direction = (1 - renderer.settings.alphas[4]) ** 0.5 * renderer.noises.injection
    assert [plan.start.step for plan in plans] == [4, 4, 4] and rough.keep_before == 4
    assert all(torch.allclose(plan.start.direction, direction) for plan in plans)
    clean = final.start.x - direction  # the noised input frame
    assert torch.allclose(clean, renderer.settings.alphas[4] ** 0.5 * renderer.latents[1:], atol=1e-5)
