"""Line matching without any weights: segments are found again where motion takes them and where they look alike."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ....common.errors import BetwixtError
from ....common.helpers import Helpers, pair_of
from ....common.pictures import grey
from ....common.progress import Progress, silent
from ..geometry import lengths, line_coordinates
from ..matches import LineMatches
from ..segments import quick_lsd
from .appearance import brighter_side_first, compare, smoothed
from .candidates import Candidates, predict, transfer
from .motion_hypotheses import motion_hypotheses
from .neighbour_consistency import neighbour_prediction, order_kept, relative_error

PARTNERS = 4  # end segments looked at closely for each start segment
LEAST_AGREEMENT = 0.05
NEIGHBOUR_ROUNDS, NEIGHBOUR_TRUST, SURE = 2, 0.7, 0.3
LEAST_ORDER = 0.6  # of a match's neighbours must stay on their side of it
SHARED = 0.3  # two matches may overlap by this share of the shorter on one end segment
GRADIENT_BINS = 64  # finds as good segments as the detector's 1024
HALF_PIXEL = 0.5  # detected segments count pixels from corners, pictures are sampled from pixel centres

# Confidence is a logistic regression on the logarithms of agreement with motion, likeness and 1 + disagreement with the
# neighbours, fitted to the pairs of benchmarks/line_matching.py and to pictures matched with their mirror images.
ODDS, AGREEMENT_POWER, LIKENESS_POWER, NEIGHBOUR_POWER = 60.0, 2.8, 2.5, -1.6


def exclusive(first: np.ndarray, second: np.ndarray, merit: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The best pairs (indices, best first) that give each start segment and each piece of an end segment one partner.

    Several start segments may share one end segment, because detectors break lines differently, but not the same
    piece of it.

    Args:
        first, second: (Q,) numbers of the start and end segments.
        merit: (Q,).
        place: (Q, 2), where on the end segment's line the pair's endpoints lie, in pixels.
    """
    low, high = place.min(axis=1).tolist(), place.max(axis=1).tolist()
    first, second = first.tolist(), second.tolist()
    matched: set[int] = set()
    pieces: dict[int, list[tuple[float, float]]] = {}
    kept = []
    for pair in np.argsort(-merit, kind="stable").tolist():
        if first[pair] in matched:
            continue
        begin, finish = low[pair], high[pair]
        taken = pieces.setdefault(second[pair], [])
        if any(min(f, finish) - max(b, begin) > SHARED * min(f - b, finish - begin) for b, f in taken):
            continue
        taken.append((begin, finish))
        matched.add(first[pair])
        kept.append(pair)
    return np.array(kept, int)


@dataclass(frozen=True)
class _Matches:
    """Pairs under consideration: segments, agreement with motion and likeness, each (M, ...)."""

    start: np.ndarray
    end: np.ndarray
    agreement: np.ndarray
    likeness: np.ndarray

    @property
    def merit(self) -> np.ndarray:
        return self.agreement * self.likeness


@dataclass(frozen=True)
class WeightFreeLineMatcher:
    """Matches line segments by motion, appearance and the consent of their neighbours; needs no file.

    Segments of OpenCV's LSD are directed by their brighter side, carried over by several dense motion hypotheses
    (:mod:`.motion_hypotheses`), compared with the segments found there by the colours on both sides
    (:mod:`.appearance`), and checked against the similarity that neighbouring matches agree on
    (:mod:`.neighbour_consistency`). The end segment is the start segment carried over, laid onto the line found in
    the last frame: its endpoints correspond to the start's.

    Attributes:
        max_segments: the most segments of each frame that are considered, longest first.
        min_length: shortest segment considered, in pixels.
        min_confidence: matches with a lower score, the estimated probability that they are true, are dropped.
    """

    max_segments: int = 600
    min_length: float = 15.0
    min_confidence: float = 0.5
    name: ClassVar[str] = "weight-free"

    def match(self, first: np.ndarray, last: np.ndarray, progress: Progress = silent) -> LineMatches:
        """As :meth:`.LineMatcher.match`."""
        if first.shape != last.shape:
            raise BetwixtError(
                f"The start frame has the shape {list(first.shape)} and the end frame {list(last.shape)}.",
                "Both key frames must have the same size.",
                "Resize one of them.",
            )
        with Helpers():
            return self._match((first, last), progress)

    def _match(self, pictures: tuple[np.ndarray, np.ndarray], progress: Progress) -> LineMatches:
        canvas = pictures[0].shape[:2]
        progress(0.0, "detecting line segments")
        greys = grey(pictures[0]), grey(pictures[1])
        found = pair_of(lambda side: self.detect(greys[side]))
        if min(map(len, found)) == 0:
            return LineMatches(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), np.zeros(0), canvas)
        smooth = pair_of(lambda side: smoothed(pictures[side]))
        start, end = (brighter_side_first(picture, segments) for picture, segments in zip(smooth, found, strict=True))
        progress(0.15, "estimating motion")
        hypotheses = motion_hypotheses(*greys, lambda share: progress(0.15 + 0.45 * share, "estimating motion"))
        candidates = Candidates(start, end)
        for number, hypothesis in enumerate(hypotheses):
            progress(0.6 + 0.3 * number / len(hypotheses), "matching line segments")
            candidates.add(*predict(hypothesis, start))
        progress(0.9, "matching line segments")
        matches = _choose(candidates, smooth)
        for _ in range(NEIGHBOUR_ROUNDS):
            sure = matches.merit > SURE
            if np.count_nonzero(sure) < 3:
                break
            around = neighbour_prediction(start, matches.start[sure], matches.end[sure], matches.merit[sure])
            candidates.add(around[0][None], NEIGHBOUR_TRUST / (1 + (around[1][None] / 3) ** 2))
            matches = _choose(candidates, smooth)
        score = confidence(matches)
        best = np.argsort(-score, kind="stable")
        best = best[score[best] >= self.min_confidence]
        progress(1.0, "matching line segments")
        return LineMatches(matches.start[best] + HALF_PIXEL, matches.end[best] + HALF_PIXEL, score[best], canvas)

    def detect(self, picture: np.ndarray) -> np.ndarray:
        """Segments (N, 2, 2) of a uint8 grey picture (H, W), pixels counted from centres; the most prominent ones."""
        found = quick_lsd(picture, 1.0, GRADIENT_BINS)
        segments = found[:, :4].reshape(-1, 2, 2) - HALF_PIXEL
        length = lengths(segments)
        best = np.argsort(-found[:, 4] * np.sqrt(length), kind="stable")
        return segments[best[length[best] >= self.min_length][: self.max_segments]]


def _choose(candidates: Candidates, smooth: tuple[np.ndarray, np.ndarray]) -> _Matches:
    """The best exclusive pairs of segments by agreement and likeness."""
    first, second = candidates.best(PARTNERS, LEAST_AGREEMENT)
    targets = candidates.end[second]
    start, end = transfer(candidates.start[first], candidates.predicted(first, second), targets)
    likeness = compare(smooth[0], start, smooth[1], end)
    agreement = candidates.agreement[first, second]
    place, _ = line_coordinates(end.transpose(1, 0, 2), targets)
    kept = exclusive(first, second, agreement * likeness, place.T)
    return _Matches(start[kept], end[kept], agreement[kept], likeness[kept])


def confidence(matches: _Matches) -> np.ndarray:
    """Estimated probability (M,) that each match is true."""
    error = np.zeros(len(matches.start), np.float32)
    if len(error) > 2:
        predicted, _ = neighbour_prediction(matches.start, matches.start, matches.end, matches.merit, apart=True)
        error = relative_error(predicted, matches.end)
    odds = ODDS * matches.agreement**AGREEMENT_POWER * matches.likeness**LIKENESS_POWER * (1 + error) ** NEIGHBOUR_POWER
    return np.where(order_kept(matches.start, matches.end) >= LEAST_ORDER, odds / (1 + odds), 0.0)
