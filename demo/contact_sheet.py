"""Puts pictures of a run on one sheet with captions."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

PAPER, INK, RULE = (250, 248, 244), (40, 36, 44), (206, 200, 192)
MARGIN, GAP, CAPTION, TITLE = 28, 12, 30, 44


@dataclass(frozen=True)
class Row:
    """A line of the sheet: ``frames`` uint8 RGB [H, W, 3] each, shown side by side in equal width."""

    caption: str
    frames: Sequence[np.ndarray]


def _text(sheet: np.ndarray, text: str, x: int, y: int, scale: float, weight: int) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, weight, cv2.LINE_AA)


def contact_sheet(title: str, rows: Sequence[Row], width: int = 1600) -> np.ndarray:
    """The sheet as uint8 RGB [H, ``width``, 3]; every row is scaled to the sheet's width."""
    strips = []
    for row in rows:
        cell = (width - 2 * MARGIN - GAP * (len(row.frames) - 1)) // len(row.frames)
        heights = [round(frame.shape[0] * cell / frame.shape[1]) for frame in row.frames]
        strip = np.full((max(heights) + CAPTION + GAP, width, 3), PAPER, np.uint8)
        _text(strip, row.caption, MARGIN, 20, 0.55, 1)
        for index, (frame, height) in enumerate(zip(row.frames, heights, strict=True)):
            shrunk = cv2.resize(np.ascontiguousarray(frame[..., :3]), (cell, height), interpolation=cv2.INTER_AREA)
            x = MARGIN + index * (cell + GAP)
            strip[CAPTION : CAPTION + height, x : x + cell] = shrunk
            cv2.rectangle(strip, (x - 1, CAPTION - 1), (x + cell, CAPTION + height), RULE, 1)
        strips.append(strip)
    header = np.full((MARGIN + TITLE, width, 3), PAPER, np.uint8)
    _text(header, title, MARGIN, MARGIN + 20, 0.9, 2)
    footer = np.full((MARGIN - GAP, width, 3), PAPER, np.uint8)
    return np.concatenate([header, *strips, footer])
