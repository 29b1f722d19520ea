"""Windows, chain and stores of the key-frame constraints; choosing key frames; fitting and recolouring frames."""

import numpy as np
import pytest
import torch
from betwixt.common.clips.frame_fit import fit_frame, fitted_size
from betwixt.common.clips.recolour import recoloured
from betwixt.common.clips.scene_cuts import find_cuts
from betwixt.common.errors import BetwixtError
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow
from betwixt.rerender_core.keyframes.constraints import (
    Adaptive,
    CrossFrame,
    KeyframeConstraints,
    PixelAware,
    ShapeAware,
    remarks,
    window,
)
from betwixt.rerender_core.keyframes.correspondence import anchors, check_flow, needed_pairs
from betwixt.rerender_core.keyframes.cross_frame_attention import CrossFrameAttention, Role
from betwixt.rerender_core.keyframes.fidelity_encoding import fidelity_encode
from betwixt.rerender_core.keyframes.rendering import KeyframeSettings
from betwixt.rerender_core.keyframes.round_trips import compare, plot
from betwixt.rerender_core.keyframes.sampling import draw_noises, published_timesteps
from betwixt.rerender_core.keyframes.selection import (
    beginning_shots,
    by_coverage,
    cuts_of,
    every,
    no_further_than,
    parse_key_numbers,
    uncovered_share,
    with_last,
)
from betwixt.rerender_core.keyframes.step_windows import injection_step

ALL = KeyframeConstraints(CrossFrame(), ShapeAware(), PixelAware(), Adaptive())


@pytest.mark.parametrize(
    ("strength", "step"), [(0.95, 1), (0.9, 1), (0.8, 3), (0.75, 5), (0.5, 10), (1.0, 0), (1.05, None), (-1, None)]
)
def test_the_frame_is_injected_at_the_published_step(strength, step):
    assert injection_step(20, strength) == step


def test_the_windows_of_the_published_defaults():
    steps = {type(part): part.active_steps(20, 20) for part in (ShapeAware(), PixelAware(), Adaptive())}
    assert steps == {ShapeAware: [0, 1, 2], PixelAware: [11, 12, 13, 14, 15], Adaptive: [16, 17, 18, 19]}


@pytest.mark.parametrize(("steps", "count"), [(20, 20), (9, 9), (27, 27), (30, 31), (36, 37), (60, 63), (80, 84)])
def test_every_step_count_gives_a_schedule_inside_the_table(steps, count):
    timesteps = published_timesteps(steps)
    assert len(timesteps) == count and timesteps[-1] == 1 and timesteps[0] < 1000


def settings(strength: float, **changes) -> KeyframeSettings:
    return KeyframeSettings((0.5,) * 21, 20, strength, ALL, **changes)


def test_model_steps_with_and_without_the_savings():
    saved, published = settings(0.75), settings(0.75, every_step=True)
    assert (saved.model_steps(1), published.model_steps(1)) == (15, 20)
    assert saved.model_steps(3) - saved.model_steps(2) == 24
    assert published.model_steps(3) - published.model_steps(2) == 40
    assert settings(0.75, keep_colours=False).model_steps(1) == 35


def test_fusion_that_the_injection_would_throw_away_is_not_run():
    assert settings(0.1).fusion_steps == []  # injected at step 18
    assert settings(0.3).fusion_steps == [14, 15]


def test_only_constraints_that_cannot_act_are_remarked_on():
    assert remarks(ALL, 20, 20, 0.95) == []
    (shape,) = remarks(ALL, 20, 20, 0.75)
    assert "Shape-Aware Fusion has no effect" in shape and "step 5 of 20" in shape
    assert any("from step 14 on" in text for text in remarks(ALL, 20, 20, 0.3))
    assert any(
        "holds none" in text for text in remarks(KeyframeConstraints(pixel_aware=PixelAware((0.5, 0.5))), 20, 20, 1)
    )


def test_a_chain_holds_each_constraint_once_and_windows_go_forward():
    chain = KeyframeConstraints().added(Adaptive()).added(CrossFrame())
    assert chain.adaptive == Adaptive() and not chain.needs_flow
    with pytest.raises(BetwixtError, match="twice"):
        chain.added(Adaptive((0, 1)))
    with pytest.raises(BetwixtError, match="ends at 0.2"):
        window(0.5, 0.2)


def attention(**options) -> CrossFrameAttention:
    return CrossFrameAttention(CrossFrame(**options), 4)


def run_pass(stores: CrossFrameAttention, value: float, role: Role, steps=range(4), before=None) -> list[list[float]]:
    stores.begin_pass(role, before)
    contexts = [stores.context(torch.full((1, 1, 1), value), (step, 0, 0)).flatten().tolist() for step in steps]
    stores.finish_pass()
    return contexts


def test_the_previous_frame_is_replaced_after_its_use():
    stores = attention()
    assert run_pass(stores, 1.0, Role.RECORD) == [[1.0]] * 4
    assert run_pass(stores, 2.0, Role.UPDATE) == [[1.0, 1.0]] * 4
    assert run_pass(stores, 3.0, Role.READ) == [[1.0, 2.0]] * 4
    assert run_pass(stores, 4.0, Role.UPDATE) == [[1.0, 2.0]] * 4
    stores.make_previous_first()
    assert run_pass(stores, 5.0, Role.READ) == [[4.0, 4.0]] * 4


def test_a_shared_first_part_updates_what_the_second_part_does_not_read():
    stores = attention()
    run_pass(stores, 1.0, Role.RECORD)
    assert run_pass(stores, 2.0, Role.UPDATE, before=2) == [[1.0, 1.0]] * 4
    assert run_pass(stores, 3.0, Role.UPDATE, steps=(2, 3)) == [[1.0, 1.0]] * 2
    assert run_pass(stores, 4.0, Role.READ) == [[1.0, 2.0]] * 2 + [[1.0, 3.0]] * 2


def test_a_step_evaluated_twice_keeps_its_first_features():
    stores = attention()
    run_pass(stores, 1.0, Role.RECORD)
    run_pass(stores, 2.0, Role.UPDATE, steps=(0, 0, 1))
    assert run_pass(stores, 3.0, Role.READ) == [[1.0, 2.0]] * 2 + [[1.0, 1.0]] * 2


def test_nothing_is_stored_outside_the_window():
    stores = attention(window=(0.5, 0.5))
    assert run_pass(stores, 1.0, Role.RECORD) == [[1.0]] * 4
    assert [slot[0] for slot in stores.first] == [2] and stores.bytes == 4
    assert run_pass(stores, 2.0, Role.READ) == [[2.0], [2.0], [1.0, 1.0], [2.0]]


def test_other_numbers_of_tokens_are_refused():
    stores = attention()
    run_pass(stores, 1.0, Role.RECORD)
    stores.begin_pass(Role.READ)
    with pytest.raises(BetwixtError, match="has 2 tokens and had 1"):
        stores.context(torch.zeros(1, 2, 1), (0, 0, 0))
    with pytest.raises(BetwixtError, match="did not have"):
        stores.context(torch.zeros(1, 1, 1), (0, 0, 1))


def test_both_stores_share_what_they_have_in_common():
    stores = attention()
    run_pass(stores, 1.0, Role.RECORD)
    assert stores.bytes == 4 * 4
    run_pass(stores, 2.0, Role.UPDATE, steps=(0, 1))
    assert stores.bytes == 6 * 4
    run_pass(stores, 3.0, Role.UPDATE)
    run_pass(stores, 4.0, Role.UPDATE)
    assert stores.bytes == 8 * 4
    stores.make_previous_first()
    assert stores.bytes == 4 * 4


def test_noise_of_a_step_does_not_depend_on_the_windows():
    first, again = draw_noises((1, 4, 2, 2), 4, 7), draw_noises((1, 4, 2, 2), 6, 7)
    assert torch.equal(first.start, again.start) and torch.equal(first.fusion[3], again.fusion[3])
    assert not torch.equal(first.start, draw_noises((1, 4, 2, 2), 4, 8).start)


def test_which_flow_is_needed():
    assert needed_pairs(3, frozenset(), ALL) == [(0, 1), (0, 2), (1, 2)]
    assert needed_pairs(3, frozenset(), KeyframeConstraints(shape_aware=ShapeAware())) == [(0, 1), (0, 2)]
    assert needed_pairs(3, frozenset(), KeyframeConstraints(CrossFrame(), adaptive=Adaptive())) == []
    assert needed_pairs(1, frozenset(), ALL) == []
    assert anchors(5, frozenset({2})) == [0, 0, 0, 2, 2]


def test_flow_with_nan_is_refused():
    frames = torch.rand(2, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    flow = estimate_flow(frames, [(0, 1)], DenseInverseSearch("ultrafast"))
    check_flow(flow, [(0, 1)], 32, 32)
    flow.backward[0, 3, 3, 0] = float("nan")
    with pytest.raises(BetwixtError, match="NaN"):
        check_flow(flow, [(0, 1)], 32, 32)


def test_intervals_and_lists():
    assert every(11, 5) == [0, 5, 10] and with_last(every(12, 5), 12) == [0, 5, 10, 11]
    assert no_further_than([0, 7], 12, 5) == [0, 5, 7]
    assert parse_key_numbers(" 0, 3;\n9 ", "numbers", 10) == [0, 3, 9]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'numbers' is empty"),
        ("0, x", "'x'"),
        ("-1, 2", "'-1'"),
        ("3, 1", "from 3 back to 1"),
        ("1, 1", "1 twice"),
        ("0, 10", "0..9"),
    ],
)
def test_wrong_lists_are_refused(text, said):
    with pytest.raises(BetwixtError, match=said):
        parse_key_numbers(text, "numbers", 10)


def test_cuts_are_found_where_the_colours_change():
    shots = [torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.1, 0.4, 0.9])]
    frames = torch.stack([shots[number >= 4].expand(24, 32, 3) for number in range(7)])
    assert cuts_of(frames, 0.5) == find_cuts(frames) == [4] and cuts_of(frames[:4], 0.5) == []
    darker = frames.clone()
    darker[6:] *= 0.9
    assert cuts_of(darker, 0.5) == [4] and cuts_of(darker, 0.1) == [4, 6]


def test_the_first_key_frame_of_every_shot():
    assert beginning_shots([0, 5, 10, 15], [5, 11, 14]) == [5, 15]
    assert beginning_shots([0, 5], [6]) == [] and beginning_shots([0, 5], []) == []


def test_calm_clips_need_fewer_key_frames_than_moving_ones():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")

    def frames(speed: float) -> torch.Tensor:
        return torch.stack(
            [
                (0.5 + 0.4 * torch.sin((x + speed * t) / 6) * torch.cos(y / 8))[..., None].expand(-1, -1, 3)
                for t in range(9)
            ]
        )

    model = DenseInverseSearch("medium")
    calm, moving = (by_coverage(frames(speed), model, 0.2, 20) for speed in (0.0, 4.0))
    assert calm == [0] and len(moving) > 2 and moving == sorted(set(moving))
    assert by_coverage(frames(0.0), model, 0.2, 3) == [0, 3, 6]


def test_coverage_hardly_depends_on_the_resolution():
    y, x = torch.meshgrid(torch.arange(288.0), torch.arange(512.0), indexing="ij")
    pair = [torch.sin((x + shift) / 20) * torch.cos(y / 25) for shift in (0, 30)]
    large = torch.stack([(0.5 + 0.4 * wave)[..., None].expand(-1, -1, 3) for wave in pair])
    small = torch.nn.functional.interpolate(large.movedim(-1, 1), scale_factor=0.5, mode="area").movedim(1, -1)
    shares = [uncovered_share(*frames, DenseInverseSearch("medium")) for frames in (large, small)]
    assert shares[0] == shares[1] and 0.01 < shares[0] < 0.5


def test_frames_are_fitted_to_multiples_of_64():
    assert fitted_size(540, 960, 512) == (512, 896) and fitted_size(960, 540, 512, "long") == (512, 256)
    assert fit_frame(np.zeros((90, 160, 3), np.uint8), 128, crop=(10, 6, 0, 40)).shape == (128, 384, 3)


def test_recolouring_with_the_own_colours_changes_nothing_visible():
    picture = np.random.default_rng(0).integers(60, 200, (24, 24, 3), np.uint8)
    assert np.abs(recoloured(picture, picture).astype(int) - picture).max() <= 6  # Lab in 8 bit
    grey = np.full((8, 8, 3), 90, np.uint8)
    assert np.isfinite(recoloured(grey, picture)).all()


def lossy():
    """An encoder and decoder that lose a tenth of the contrast per trip, as linear as a good VAE nearly is."""
    return (
        lambda picture: torch.nn.functional.avg_pool2d(picture, 8) * 0.9,
        lambda latent: torch.nn.functional.interpolate(latent, scale_factor=8),
    )


def test_fidelity_encoding_makes_up_for_the_loss_of_a_trip():
    encode, decode = lossy()
    picture = torch.nn.functional.interpolate(torch.linspace(-0.5, 0.5, 48).view(1, 3, 4, 4), scale_factor=8)
    plain = (decode(encode(picture)) - picture).abs().max()
    result = fidelity_encode(picture, encode, decode)
    assert result.artifacts.sum() == 0
    assert (decode(result.latent) - picture).abs().max() < 0.11 * plain
    assert torch.equal(fidelity_encode(picture, encode, decode, threshold=-1).latent, encode(picture))
    assert torch.equal(fidelity_encode(picture, encode, decode, strength=0).latent, encode(picture))


def test_round_trips_are_measured_and_plotted():
    encode, decode = lossy()
    picture = torch.nn.functional.interpolate(torch.linspace(-0.5, 0.5, 48).view(1, 3, 4, 4), scale_factor=8)
    shares = []
    plain, faithful = compare(picture, encode, decode, 5, 1.0, 0.25, lambda share, text: shares.append(share))
    assert len(plain.errors) == len(faithful.errors) == 5 and faithful.errors[-1] < 0.2 * plain.errors[-1]
    assert list(plain.errors) == sorted(plain.errors) and shares == sorted(shares) and shares[-1] == 1
    drawn = plot({"plain": plain.errors, "fidelity-oriented": faithful.errors})
    assert drawn.shape == (1, 480, 720, 3) and drawn.std() > 0.05
