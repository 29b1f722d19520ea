"""Matched line segments of two key frames: the value on LINE_MATCHES wires, and what every line matcher must offer."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ...common.errors import BetwixtError
from ...common.progress import Progress, silent


@dataclass(frozen=True)
class LineMatches:
    """M matched line segments, best match first.

    Attributes:
        start: float32 (M, 2, 2), pixel (x, y) of both endpoints in the first key frame.
        end: float32 (M, 2, 2), the same in the last key frame; ``end[i, k]`` need not be the endpoint ``start[i, k]``
            moves to: consumers pair endpoints themselves (docs/methods/conditions.md, Straight motion).
        score: float32 (M,), confidence of the match, larger is better, 0..1.
        canvas: (height, width) of the key frames in pixels.
    """

    start: np.ndarray
    end: np.ndarray
    score: np.ndarray
    canvas: tuple[int, int]

    def __post_init__(self):
        count = len(self.score)
        for name, shape in (("start", (count, 2, 2)), ("end", (count, 2, 2)), ("score", (count,))):
            value = np.array(getattr(self, name), dtype=np.float32).reshape(shape)
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.score)

    def select(self, keep: np.ndarray) -> "LineMatches":
        """The matches at a boolean mask or index array, in that order."""
        return replace(self, start=self.start[keep], end=self.end[keep], score=self.score[keep])

    def filtered(self, max_number: int | None = None, min_length: float = 0.0, min_score: float = 0.0) -> "LineMatches":
        """Matches whose segments are at least ``min_length`` px long in both frames and score at least ``min_score``;
        of these the ``max_number`` best by score, in the order they stand."""
        lengths = [np.linalg.norm(side[:, 1] - side[:, 0], axis=-1) for side in (self.start, self.end)]
        keep = np.flatnonzero((np.minimum(*lengths) >= min_length) & (self.score >= min_score))
        if max_number is not None and len(keep) > max_number:
            best = np.argsort(-self.score[keep], kind="stable")[:max_number]
            keep = keep[np.sort(best)]
        return self.select(keep)

    def inside(self, start_region: np.ndarray | None, end_region: np.ndarray | None) -> "LineMatches":
        """Matches whose midpoints lie in the given regions (boolean (H, W) of the canvas size; None = everywhere)."""
        keep = np.ones(len(self), bool)
        for side, region in ((self.start, start_region), (self.end, end_region)):
            if region is None:
                continue
            if region.shape != tuple(self.canvas):
                raise BetwixtError(
                    f"The region mask is {region.shape[1]}x{region.shape[0]}, the key frames are "
                    f"{self.canvas[1]}x{self.canvas[0]}.",
                    "A region mask must have the size of the key frames.",
                    "Resize the mask to the key frames' size.",
                )
            x, y = np.floor(side.mean(axis=1)).astype(int).T
            keep &= region[y.clip(0, self.canvas[0] - 1), x.clip(0, self.canvas[1] - 1)]
        return self.select(keep)


class LineMatcher(Protocol):
    """What stands behind a LINE_MATCHER wire."""

    name: str  # shown to the user

    def match(self, first: np.ndarray, last: np.ndarray, progress: Progress = silent) -> LineMatches:
        """Match the line segments of two uint8 RGB pictures [H, W, 3] of equal size. No segments, no matches: an
        empty result, never an error."""
        ...
