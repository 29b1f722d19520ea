"""Missing pixels of a picture filled with patches of its known ones (docs/methods/ebsynth.md, Filling)."""

import cv2
import numpy as np
import torch

from ...common.progress import Progress, silent
from .guides import filled, position_guide
from .synthesis.problem import SynthesisOptions, SynthesisProblem
from .synthesis.pyramid import level_count
from .synthesis.solver import EngineName, synthesise

CONTEXT = 64  # px around what is wanted, where patches are looked for
COLOUR, PLACE = 4.0, 1.0  # weights of the guides, the style's being 1
UNKNOWN_COLOUR = 0.1  # share of the colour's weight where the colour is a guess
OPTIONS = SynthesisOptions(uniformity=500.0)


def fill_with_patches(
    picture: np.ndarray,
    known: np.ndarray,
    wanted: np.ndarray,
    progress: Progress = silent,
    engine: EngineName = "auto",
    device: torch.device | str = "cpu",
) -> np.ndarray | None:
    """A picture whose wanted pixels are made of patches of the known ones around them.

    Guides are the colours, guessed from what is around where they are not known, and the place in the picture, so that
    patches come from near by; known pixels around the wanted ones are matched too and hold the seams together.

    Args:
        picture: uint8 [H, W, 3].
        known: bool [H, W]; the other pixels are not looked at.
        wanted: bool [H, W].
        progress, engine: as for :func:`.synthesis.solver.synthesise`.
        device: where it is computed.

    Returns:
        uint8 [H, W, 3], the other pixels as they are; None where no whole patch is known.
    """
    wanted = wanted & ~known
    result = picture.copy()
    if not wanted.any():
        return result
    window = next((window for window in (_window(wanted), np.s_[:, :]) if _room(known[window])), None)
    if window is None:
        return None
    sure, hole = known[window], wanted[window]
    problem = _problem(filled(picture[window], ~sure), sure, hole, device)
    made = synthesise(problem, OPTIONS, engine, progress).image[0].cpu().numpy()
    result[window][hole] = made[hole]
    return result


def _window(wanted: np.ndarray) -> tuple[slice, slice]:
    """The pixels within :data:`CONTEXT` of what is wanted, as far as the picture goes."""
    sides = (np.flatnonzero(wanted.any(axis=axis)) for axis in (1, 0))
    rows, columns = (slice(max(int(at[0]) - CONTEXT, 0), int(at[-1]) + CONTEXT + 1) for at in sides)
    return rows, columns


def _room(known: np.ndarray) -> bool:
    """Whether whole patches are known, in a picture large enough for the search."""
    patch = OPTIONS.patch
    if level_count(known.shape, known.shape, patch) == 0:
        return False
    return bool(cv2.erode(known.astype(np.uint8), np.ones((patch, patch), np.uint8), borderValue=0).any())


def _problem(guess: np.ndarray, known: np.ndarray, wanted: np.ndarray, device: torch.device | str) -> SynthesisProblem:
    def batch(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))[None].to(device)

    guides = np.concatenate([guess, position_guide(*known.shape)[..., :2]], axis=-1)
    modulation = np.full(guides.shape, 255, np.uint8)
    modulation[~known, :3] = round(255 * UNKNOWN_COLOUR)
    around = cv2.dilate(wanted.astype(np.uint8), np.ones((2 * OPTIONS.patch + 1,) * 2, np.uint8)) > 0
    return SynthesisProblem(
        style=batch(guess),
        source_guides=batch(guides),
        target_guides=batch(guides),
        guide_weights=torch.tensor([COLOUR / 3] * 3 + [PLACE / 2] * 2),
        modulation=batch(modulation),
        source_mask=batch(known),
        target_mask=batch(around),
    )
