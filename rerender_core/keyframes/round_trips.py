"""What repeated encoding and decoding does to a picture, plain and fidelity-oriented (Figure 14 of the paper)."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ...common.progress import Progress, part_of, silent
from .fidelity_encoding import fidelity_encode

CANVAS = (480, 720)  # height, width of the plot
MARGIN = 60
ROOM = 1.2  # of the largest error, so that the legend stands above the curves
COLOURS = {"plain": (0.85, 0.35, 0.2), "fidelity-oriented": (0.15, 0.45, 0.85)}


@dataclass(frozen=True)
class RoundTrips:
    """What repeated encoding and decoding made of a picture.

    Attributes:
        pictures: [N, 3, H, W] around -1..1, after each of N trips.
        errors: root mean square difference from the original, in 8-bit grey levels, after each trip.
    """

    pictures: Tensor
    errors: tuple[float, ...]


def round_trips(
    picture: Tensor, trip: Callable[[Tensor], Tensor], count: int, progress: Progress = silent
) -> RoundTrips:
    """Send a picture [1, 3, H, W] around -1..1 through ``trip`` again and again."""
    pictures, errors = [], []
    current = picture
    for number in range(count):
        current = trip(current).clamp(-1, 1)  # a saved picture between two edits
        pictures.append(current)
        errors.append(float((current - picture).square().mean().sqrt()) * 127.5)
        progress((number + 1) / count, f"round trip {number + 1} of {count}")
    return RoundTrips(torch.cat(pictures), tuple(errors))


def compare(
    picture: Tensor, encode, decode, count: int, strength: float, threshold: float, progress: Progress = silent
):
    """(plain, fidelity-oriented) round trips of one picture; ``progress`` takes the share of both."""

    def plain(current: Tensor) -> Tensor:
        return decode(encode(current))

    def faithful(current: Tensor) -> Tensor:
        return decode(fidelity_encode(current, encode, decode, strength, threshold).latent)

    first = round_trips(picture, plain, count, part_of(progress, 0, 0.25))
    return first, round_trips(picture, faithful, count, part_of(progress, 0.25, 0.75))


def plot(curves: dict[str, tuple[float, ...]]) -> Tensor:
    """The error over the number of trips as a picture, float32 [1, H, W, 3] 0..1; keys of :data:`COLOURS`."""
    height, width = CANVAS
    canvas = np.ones((height, width, 3), np.float32)
    highest = ROOM * max(max(errors) for errors in curves.values()) or 1.0
    count = max(len(errors) for errors in curves.values())

    def place(trip: int, error: float) -> tuple[int, int]:
        x = MARGIN + (width - 2 * MARGIN) * (trip - 1) / max(count - 1, 1)
        return round(x), round(height - MARGIN - (height - 2 * MARGIN) * error / highest)

    def write(text: str, position: tuple[int, int], colour=(0.2, 0.2, 0.2)) -> None:
        cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)

    cv2.rectangle(canvas, (MARGIN, MARGIN), (width - MARGIN, height - MARGIN), (0.6, 0.6, 0.6), 1)
    write("RMS error, grey levels of 255", (MARGIN, MARGIN - 30))
    write(f"{highest:.1f}", (8, MARGIN + 5))
    write("0", (MARGIN - 15, height - MARGIN + 5))
    for trip in range(1, count + 1):
        write(str(trip), (place(trip, 0)[0] - 5, height - MARGIN + 20))
    write("round trips", (width // 2 - 40, height - 15))
    for row, (name, errors) in enumerate(curves.items()):
        points = np.array([place(trip, error) for trip, error in enumerate(errors, start=1)], np.int32)
        cv2.polylines(canvas, [points], False, COLOURS[name], 2, cv2.LINE_AA)
        write(f"{name}: {errors[-1]:.2f} after {len(errors)}", (MARGIN + 12, MARGIN + 22 + 20 * row), COLOURS[name])
    return torch.from_numpy(canvas)[None]
