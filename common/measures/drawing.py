"""Pictures of measurements: a plot over the frames, a heat map, clips on one sheet, two clips in one picture."""

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..errors import BetwixtError
from ..pictures import to_float, to_uint8
from .measurement import Measurement

PAPER, INK, RULE, CURVE = (250, 248, 244), (40, 36, 44), (206, 200, 192), (32, 96, 168)
PLOT_SIZE = 480, 960  # height, width
LEFT, RIGHT, TOP, BOTTOM = 100, 24, 56, 44
GAP, CAPTION = 8, 26
MOST_DOTS = 120  # frames; the dots of more would hide the curve
LONGEST = 200  # characters of a text
LARGEST_SIDE = 32767  # pixels; what OpenCV and video formats take


def write(picture: np.ndarray, text: str, x: int, y: int, size: int = 14, colour=INK) -> None:
    """Write one line into a uint8 picture (H, W, 3), in place; cut at the picture's rim.

    Args:
        text: whatever has no place in Latin-1 becomes a question mark.
        x, y: left end and middle of the line, pixels.
        size: of the letters, pixels.
    """
    # lone surrogates and control characters crash or break the text engines of OpenCV and FreeType
    text = text[:LONGEST].encode("latin-1", "replace").decode("latin-1")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    canvas = Image.fromarray(picture)
    ImageDraw.Draw(canvas).text((x, y), text, colour, ImageFont.load_default(size), anchor="lm")
    picture[:] = np.asarray(canvas)


def shown(value: float, unit: str) -> str:
    """A number with its unit: "31.42 dB"."""
    return f"{value:.4g} {unit}".strip()


def plot(measurement: Measurement) -> torch.Tensor:
    """The numbers of a measurement over the frames, float32 [1, 480, 960, 3].

    Infinite numbers stand on the rim, undefined ones (NaN) leave a gap.
    """
    height, width = PLOT_SIZE
    canvas = np.full((height, width, 3), PAPER, np.uint8)
    values = measurement.per_frame
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    ticks = _ticks(min(finite), max(finite))
    low, high = float(ticks[0]), float(ticks[-1])

    def place(number: int, value: float) -> tuple[int, int]:
        share = (min(max(value, low), high) - low) / (high - low)
        across = number / max(len(values) - 1, 1)
        return round(LEFT + across * (width - LEFT - RIGHT)), round(height - BOTTOM - share * (height - TOP - BOTTOM))

    for value in ticks:
        y = place(0, value)[1]
        cv2.line(canvas, (LEFT, y), (width - RIGHT, y), RULE, 1)
        write(canvas, f"{value:.4g}", 10, y)
    for number in sorted({round(share * (len(values) - 1) / 8) for share in range(9)}):
        write(canvas, str(number), place(number, low)[0] - 4, height - 22)
    points = [None if math.isnan(value) else place(number, value) for number, value in enumerate(values)]
    for one, two in pairwise(points):
        if one and two:
            cv2.line(canvas, one, two, CURVE, 2, cv2.LINE_AA)
    dots = len(points) <= MOST_DOTS
    for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
        if point and (dots or not (before or after)):
            cv2.circle(canvas, point, 4, CURVE, -1, cv2.LINE_AA)
    write(canvas, f"{measurement.name}: {shown(measurement.value, measurement.unit)}", LEFT, 28, 20)
    return to_float(canvas[None])


def _ticks(low: float, high: float) -> np.ndarray:
    """Two to seven round numbers, evenly spaced, from not above ``low`` to not below ``high``."""
    if low == high:
        low, high = low - 0.1 * abs(low), high + 0.1 * abs(high) or 1.0
    least = (high - low) / 4.5
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)
    return np.arange(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1) * step


def heat_map(measurement: Measurement, height: int, width: int) -> torch.Tensor:
    """The map of a measurement in colours from black (none) to yellow (most), float32 [1, H, W, 3].

    Yellow begins where one in 500 of the pixels that count is reached, so that single ones do not darken the others.
    Black all over where the measurement has no place in the picture.
    """
    heat = np.zeros((height, width), np.float32) if measurement.heat is None else np.maximum(measurement.heat, 0)
    counting = heat[heat > 1e-12]
    most = float(np.quantile(counting, 0.998)) if len(counting) else 1.0
    levels = np.round(np.minimum(heat / most, 1) * 255).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return to_float(coloured[None])


def contact_sheet(clips: Sequence[torch.Tensor], labels: Sequence[str], columns: int, cell_width: int) -> torch.Tensor:
    """Clips in rows, each by frames spread evenly over it; the number of the frame stands below it.

    Args:
        clips: float32 [T, H, W, 3] each; length and size may differ.
        labels: one per clip or fewer; a row without one is called after its number.
        columns: frames per row; a shorter clip shows all it has.
        cell_width: pixels; frames more than four times as high as wide are made narrower.

    Returns:
        float32 [1, H, W, 3].

    Raises:
        BetwixtError: a sheet of more than 32767 pixels in one direction.
    """
    width = columns * (cell_width + GAP) + GAP
    cells = [_fitted(clip.shape[1], clip.shape[2], cell_width) for clip in clips]
    height = sum(cell_height + 2 * CAPTION for cell_height, _ in cells)
    if max(width, height) > LARGEST_SIDE:
        raise BetwixtError(
            f"The sheet would be {width}x{height}.",
            f"At most {LARGEST_SIDE} pixels in each direction are allowed.",
            "Choose fewer 'columns' or a smaller 'cell_width'.",
        )
    sheet, top = np.full((height, width, 3), PAPER, np.uint8), 0
    for number, (clip, cell) in enumerate(zip(clips, cells, strict=True)):
        row = sheet[top : top + cell[0] + 2 * CAPTION]
        top += len(row)
        label = labels[number] if number < len(labels) and labels[number] else f"Clip {number + 1}"
        write(row[:CAPTION], label, GAP, CAPTION // 2, 15)
        shares = np.linspace(0, len(clip) - 1, min(columns, len(clip))).round().astype(int)
        for column, frame in enumerate(shares):
            x = GAP + column * (cell_width + GAP)
            small = cv2.resize(to_uint8(clip[frame]), cell[::-1], interpolation=cv2.INTER_AREA)
            row[CAPTION:-CAPTION, x : x + cell[1]] = small
            write(row[-CAPTION:, x : x + cell_width], str(frame), 0, CAPTION // 2, 13)
    return to_float(sheet[None])


def _fitted(height: int, width: int, cell_width: int) -> tuple[int, int]:
    """(height, width) of a frame in a cell."""
    scale = min(cell_width / width, 4 * cell_width / height)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def side_by_side(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Both clips beside each other, float32 [T, H, 2 W, 3]. The clips: float32 [T, H, W, 3], of one size."""
    return torch.cat([first, second], dim=2)


def wipe(first: torch.Tensor, second: torch.Tensor, position: float) -> torch.Tensor:
    """The first clip left of ``position`` (0..1 of the width), the second right of it, float32 [T, H, W, 3]."""
    width = first.shape[2]
    border = round(position * width)
    joined = torch.cat([first[:, :, :border], second[:, :, border:]], dim=2)
    if 0 < border < width:
        joined[:, :, border] = 1
    return joined


def difference(first: torch.Tensor, second: torch.Tensor, gain: float) -> torch.Tensor:
    """Absolute difference times ``gain``, cut at 1, float32 [T, H, W, 3]; black is equal."""
    return (first - second).abs_().mul_(gain).clamp_(max=1)


def labelled(frames: torch.Tensor, labels: Sequence[tuple[str, int]]) -> torch.Tensor:
    """Texts on a dark bar along the top of every frame.

    Args:
        frames: float32 [T, H, W, 3].
        labels: (text, x in pixels); empty texts are left out.

    Returns:
        ``frames`` itself without texts, else changed in place: the caller owns it.
    """
    if not any(text for text, _ in labels):
        return frames
    height, width = frames.shape[1:3]
    bar = np.zeros((min(CAPTION, height), width, 3), np.uint8)
    for text, x in labels:
        write(bar, text, x + 6, CAPTION // 2, 15, (255, 255, 255))
    ink = to_float(bar)
    top = frames[:, : bar.shape[0]]
    top.mul_(0.4 * (1 - ink)).add_(ink)
    return frames
