"""The two ends of a generated clip against the key frames it should meet: colour drift, exact end frames.

Video diffusion models drift in brightness and saturation and generate the end frames anew, so that a clip neither
starts nor ends exactly at its key frames (docs/methods/svd.md, End frames).
"""

import torch

GAIN_RANGE = (0.5, 2.0)  # contrast corrections beyond this come from flat pictures, not from drift


def drift_corrected(
    frames: torch.Tensor, first: torch.Tensor, last: torch.Tensor, strength: float = 1.0
) -> torch.Tensor:
    """A clip whose ends have the colour statistics of the key frames.

    Per channel a gain and an offset give the generated end frames the mean and standard deviation of the key frames
    (Reinhard et al. 2001); between the ends both change linearly with time.

    Args:
        frames: float [F, H, W, 3], 0..1.
        first, last: float [H, W, 3], 0..1, the key frames.
        strength: 0 = unchanged, 1 = full correction.

    Returns:
        float [F, H, W, 3], clamped to 0..1.
    """
    ends = [_gain_and_offset(frames[0], first), _gain_and_offset(frames[-1], last)]
    time = torch.linspace(0, 1, frames.shape[0], device=frames.device, dtype=frames.dtype).view(-1, 1, 1, 1)
    gain, offset = (torch.lerp(start.to(frames), stop.to(frames), time) for start, stop in zip(*ends, strict=True))
    return (frames + strength * (frames * (gain - 1) + offset)).clamp(0, 1)


def _gain_and_offset(generated: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Per channel [3], so that ``generated * gain + offset`` has the mean and spread of ``wanted``."""
    have_std, have_mean = torch.std_mean(generated.float(), dim=(0, 1))
    want_std, want_mean = torch.std_mean(wanted.float().to(generated.device), dim=(0, 1))
    gain = (want_std / have_std.clamp_min(1e-6)).clamp(*GAIN_RANGE)
    return gain, want_mean - have_mean * gain


def with_exact_ends(frames: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """The clip with its end frames replaced by the key frames [H, W, 3] of the same size."""
    return torch.cat([first[None].to(frames), frames[1:-1], last[None].to(frames)])
