"""Matched lines drawn over both key frames, to judge correspondences by eye."""

import cv2
import numpy as np

from .matches import LineMatches
from .palette import line_colours

SHADE = 0.6  # of the key frames, so that lines stand out
GAP = 8  # pixels between the frames
NUMBERED = 60  # with more matches numbers hide more than they tell
BITS = 4  # fractional bits of OpenCV's drawing coordinates
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_matches(first: np.ndarray, last: np.ndarray, matches: LineMatches) -> np.ndarray:
    """Both frames side by side, darkened; the two segments of a match have the same colour and, if few, number.

    Args:
        first, last: uint8 RGB (H, W, 3).

    Returns:
        uint8 RGB (H, 2 W + 8, 3). Without matches it says so.
    """
    height, width = first.shape[:2]
    picture = np.zeros((height, 2 * width + GAP, 3), np.uint8)
    places = ((first, matches.start, 0), (last, matches.end, width + GAP))
    colours = line_colours(len(matches), 0).tolist()
    for frame, segments, left in places:
        part = np.ascontiguousarray(cv2.convertScaleAbs(frame, alpha=SHADE))
        for thickness, ink in ((4, [(0, 0, 0)] * len(colours)), (2, colours)):  # all halos first: they hide no line
            for segment, colour in zip(segments, ink, strict=True):
                ends = np.round((segment - 0.5) * (1 << BITS)).astype(int).tolist()
                cv2.line(part, *ends, colour, thickness, cv2.LINE_AA, BITS)
        if len(matches) <= NUMBERED:
            for number, segment in enumerate(segments):
                _write(part, str(number + 1), segment.mean(axis=0), 0.4)
        picture[:, left : left + width] = part
    if len(matches) == 0:
        _write(picture, "no line matches", (0.1 * width, 0.5 * height), max(width / 400, 0.3))
    return picture


def _write(picture: np.ndarray, text: str, place, scale: float) -> None:
    origin = tuple(int(value) for value in place)
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, origin, FONT, scale, colour, thickness, cv2.LINE_AA)
