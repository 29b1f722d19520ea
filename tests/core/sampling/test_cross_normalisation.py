import torch
import torch.nn.functional as F
from betwixt.fcvg_core.sampling.cross_normalisation import ControlMap, inject


def direct(hidden, control, weight):
    """The formula as published: normalise at the control's size, pool, add."""
    dims = (1, 2, 3)
    spread = hidden.std(dims, keepdim=True) / (control.std(dims, keepdim=True) + 1e-5)
    moved = (control - control.mean(dims, keepdim=True)) * spread + hidden.mean(dims, keepdim=True)
    return hidden + F.adaptive_avg_pool2d(moved, hidden.shape[-2:]) * 0.2 * weight


def example(frames=3):
    generator = torch.Generator().manual_seed(1)
    hidden = 3 + 2 * torch.randn(frames, 16, 4, 6, generator=generator)
    return hidden, 0.1 * torch.randn(frames, 16, 7, 11, generator=generator) - 5


def test_pooling_before_normalising_changes_nothing():
    hidden, control = example()
    assert (inject(hidden, ControlMap.of(control, (4, 6)), 0.7) - direct(hidden, control, 0.7)).abs().max() < 2e-5


def test_a_constant_control_adds_the_mean_of_the_trunk():
    hidden, _ = example(1)
    added = inject(hidden, ControlMap.of(torch.full((1, 16, 7, 11), 4.0), (4, 6)), 1.0) - hidden
    assert (added - 0.2 * hidden.mean()).abs().max() < 1e-5


def test_chunks_join_and_clips_turn_around():
    hidden, control = example(4)
    whole = ControlMap.of(control, (4, 6))
    joined = ControlMap.joined([ControlMap.of(control[:1], (4, 6)), ControlMap.of(control[1:], (4, 6))])
    assert torch.equal(inject(hidden, joined, 1.0), inject(hidden, whole, 1.0))
    assert torch.equal(inject(hidden.flip(0), whole.reversed(), 1.0), inject(hidden, whole, 1.0).flip(0))


def test_a_mask_acts_where_it_is_set_and_the_trunk_is_not_modified():
    hidden, control = example(2)
    before, mask = hidden.clone(), torch.zeros(1, 1, 4, 6)
    mask[..., :3] = 1
    out = inject(hidden, ControlMap.of(control, (4, 6)), mask)
    full = inject(hidden, ControlMap.of(control, (4, 6)), 1.0)
    assert torch.equal(out[..., 3:], hidden[..., 3:]) and torch.equal(out[..., :3], full[..., :3])
    assert torch.equal(hidden, before)


def test_half_precision_statistics_do_not_overflow():
    hidden, control = (200 * value for value in example(1))
    out = inject(hidden.half(), ControlMap.of(control.half(), (4, 6)), 1.0)
    wanted = direct(hidden, control, 1.0)
    assert out.dtype == torch.float16 and ((out.float() - wanted).abs() / wanted.abs().max()).max() < 2e-3
