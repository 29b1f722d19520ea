import torch
from betwixt.common.clips.end_frames import drift_corrected, with_exact_ends


def key_frame(seed):
    return 0.3 + 0.4 * torch.rand(16, 20, 3, generator=torch.Generator().manual_seed(seed))


def drifted_clip(frames=5):
    """The first key frame in all frames, while contrast and brightness change linearly."""
    first = key_frame(0)
    gains = torch.linspace(0.9, 0.7, frames).view(-1, 1, 1, 1)
    offsets = torch.linspace(0.02, 0.1, frames).view(-1, 1, 1, 1)
    return first, first * gains + offsets


def test_both_ends_get_the_statistics_of_their_key_frames():
    first, clip = drifted_clip()
    last = key_frame(1) * 0.5
    corrected = drift_corrected(clip, first, last)
    for frame, wanted in ((corrected[0], first), (corrected[-1], last)):
        for have, want in zip(torch.std_mean(frame, dim=(0, 1)), torch.std_mean(wanted, dim=(0, 1)), strict=True):
            assert (have - want).abs().max() < 1e-5
    assert (corrected[0] - first).abs().max() < 1e-5  # the drift was affine, so the picture itself comes back


def test_strength_fades_the_correction_in_and_nothing_is_modified():
    first, clip = drifted_clip()
    before = clip.clone()
    none, half, full = (drift_corrected(clip, first, first, strength) for strength in (0.0, 0.5, 1.0))
    assert torch.equal(none, clip) and (half - (none + full) / 2).abs().max() < 1e-6
    assert torch.equal(clip, before)


def test_a_clip_without_drift_is_left_alone():
    first = key_frame(0)
    clip = first.expand(4, -1, -1, -1)
    assert (drift_corrected(clip, first, first) - clip).abs().max() < 1e-6


def test_a_flat_frame_is_shifted_and_not_blown_up():
    flat = torch.full((3, 8, 8, 3), 0.4)
    corrected = drift_corrected(flat, key_frame(0)[:8, :8], torch.full((8, 8, 3), 0.6))
    assert torch.isfinite(corrected).all()
    assert (corrected[-1] - 0.6).abs().max() < 1e-5


def test_exact_ends_replace_two_frames_only():
    first, clip = drifted_clip()
    last = key_frame(2)
    out = with_exact_ends(clip, first, last)
    assert torch.equal(out[0], first) and torch.equal(out[-1], last) and torch.equal(out[1:-1], clip[1:-1])
