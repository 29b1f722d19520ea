"""Pairs of pictures with known motion: drawn scenes or given pictures, moved layer by layer."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

KINDS = ("translation", "rotation", "zoom", "parallax", "independent", "lighting", "combined")
NOISE = 1.5  # grey levels
MARGIN = 0.3  # of the frame size, on each side of the canvas a layer is drawn on


@dataclass(frozen=True)
class Layer:
    """One flat part of a scene, larger than the frame and perhaps finer.

    Attributes:
        colour: uint8 RGB (h, w, 3).
        alpha: float32 (h, w), 0..1.
        to_frame: 3x3, canvas pixel to pixel of the frame at rest.
    """

    colour: np.ndarray
    alpha: np.ndarray
    to_frame: np.ndarray


@dataclass(frozen=True)
class MovedPair:
    """Two frames and the truth about them.

    Attributes:
        first, last: uint8 RGB (H, W, 3).
        first_layer, last_layer: int (H, W), number of the layer seen; larger is nearer to the viewer, -1 is outside.
        motions: (L, 3, 3), pixel of the first frame to pixel of the last, for each layer.
    """

    first: np.ndarray
    last: np.ndarray
    first_layer: np.ndarray
    last_layer: np.ndarray
    motions: np.ndarray


class MovedClip(NamedTuple):
    """Two frames, those between them, and the truth about them.

    Attributes:
        first, last: uint8 RGB (H, W, 3), with noise.
        between: the same without noise, at some times.
        seen: time, also 0 and 1 -> int (H, W), number of the layer seen, -1 is outside.
        motions: (L, 3, 3), pixel of the first frame to pixel of the last, for each layer.
    """

    first: np.ndarray
    last: np.ndarray
    between: list[np.ndarray]
    seen: dict[float, np.ndarray]
    motions: np.ndarray


def similarity(centre, angle=0.0, scale=1.0, shift=(0.0, 0.0)) -> np.ndarray:
    """3x3 turn (radians) and zoom about ``centre``, then ``shift`` pixels."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = centre - turn @ centre + shift
    return matrix


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Homography applied to (..., 2) points."""
    mapped = points @ matrix[:2, :2].T + matrix[:2, 2]
    return mapped / (points @ matrix[2, :2, None] + matrix[2, 2])


def _heading(random, low, high):
    angle, size = random.uniform(0, 2 * np.pi), random.uniform(low, high)
    return size * np.array([np.cos(angle), np.sin(angle)])


def motions(kind: str, layers: int, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """(layers, 3, 3) motions of one kind for frames of ``size`` (height, width); lengths scale with the width."""
    height, width = size
    unit = width / 1024
    centre = np.array([width, height]) * random.uniform(0.35, 0.65, 2)
    sign = random.choice([-1, 1])
    common = {
        "translation": lambda: similarity(centre, shift=_heading(random, 20, 70) * unit),
        "rotation": lambda: similarity(
            centre, np.radians(sign * random.uniform(5, 25)), shift=_heading(random, 0, 15) * unit
        ),
        "zoom": lambda: similarity(
            centre, scale=random.uniform(1.12, 1.35) ** sign, shift=_heading(random, 0, 10) * unit
        ),
        "parallax": lambda: np.eye(3),
        "independent": lambda: similarity(centre, shift=_heading(random, 5, 15) * unit),
        "lighting": lambda: similarity(centre, shift=_heading(random, 5, 25) * unit),
        "combined": lambda: similarity(
            centre, np.radians(random.uniform(-12, 12)), random.uniform(0.87, 1.15), _heading(random, 10, 40) * unit
        ),
    }[kind]()
    result = np.repeat(common[None], layers, axis=0)
    if kind in ("parallax", "combined"):
        pan = _heading(random, 12, 20) * unit
        for number in range(layers):
            result[number] = similarity(centre, scale=1 + 0.03 * number, shift=pan * (1 + 1.4 * number)) @ common
    if kind == "independent":
        for number in range(1, layers):
            turn, zoom, shift = random.uniform(-25, 25), random.uniform(0.85, 1.18), _heading(random, 15, 80) * unit
            result[number] = similarity(centre, np.radians(turn), zoom, shift)
    return result


def _relit(picture: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Mild change of exposure, gamma and colour balance, and a light falling in from one side."""
    height, width = picture.shape[:2]
    direction = random.uniform(-0.15, 0.15, 2)
    ramp = direction[0] * np.linspace(-1, 1, width)[None, :] + direction[1] * np.linspace(-1, 1, height)[:, None]
    gain = random.uniform(0.8, 1.2) * random.uniform(0.95, 1.05, 3) * (1 + ramp[..., None])
    return 255 * np.clip(picture / 255, 0, 1) ** random.uniform(0.85, 1.2) * gain + random.uniform(-10, 10)


def _render(layers, placements, size, random):
    height, width = size
    frame, seen = np.zeros((height, width, 3), np.float32), np.full(size, -1)
    for number, (layer, placement) in enumerate(zip(layers, placements, strict=True)):
        matrix = placement @ layer.to_frame
        flags = {"dsize": (width, height), "flags": cv2.INTER_CUBIC if layer.to_frame[0, 0] == 1 else cv2.INTER_LINEAR}
        colour = cv2.warpPerspective(layer.colour, matrix, **flags, borderMode=cv2.BORDER_REFLECT_101)
        alpha = cv2.warpPerspective(layer.alpha, matrix, dsize=(width, height), borderValue=0)
        paint = np.ones_like(alpha) if number == 0 else alpha  # the backdrop goes on, mirrored, outside its canvas
        frame += paint[..., None] * (colour - frame)
        seen[alpha > 0.5] = number
    return frame, seen


def moved_pair(layers: list[Layer], kind: str, size: tuple[int, int], random: np.random.Generator) -> MovedPair:
    """Move a scene in one of :data:`KINDS`; frames of ``size`` (height, width), with :data:`NOISE`."""
    motion = motions(kind, len(layers), size, random)
    first, first_layer = _render(layers, np.repeat(np.eye(3)[None], len(layers), axis=0), size, random)
    last, last_layer = _render(layers, motion, size, random)
    if kind in ("lighting", "combined"):
        last = _relit(last, random)
    first, last = (
        np.clip(f + random.normal(0, NOISE, f.shape), 0, 255).round().astype(np.uint8) for f in (first, last)
    )
    return MovedPair(first, last, first_layer, last_layer, motion)


def picture_layers(picture: np.ndarray, random: np.random.Generator) -> tuple[list[Layer], tuple[int, int]]:
    """A given uint8 RGB picture as backdrop and a piece of itself, turned upside down, in front; and the frame size.

    The frame is the middle of the picture, so that what moves in is known as well.
    """
    height, width = picture.shape[:2]
    size = (round(height / (1 + MARGIN)), round(width / (1 + MARGIN)))
    to_frame = np.eye(3)
    to_frame[:2, 2] = [(size[1] - width) / 2, (size[0] - height) / 2]
    shape = np.zeros((height, width), np.float32)
    centre = np.array([width, height]) * random.uniform(0.35, 0.65, 2)
    angles = np.sort(random.uniform(0, 2 * np.pi, 7))
    radii = random.uniform(0.18, 0.3, 7) * height
    corners = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillPoly(shape, [np.round(corners).astype(np.int32)], 1.0)
    backdrop = Layer(picture, np.ones((height, width), np.float32), to_frame)
    front = Layer(np.ascontiguousarray(picture[::-1, ::-1]), cv2.GaussianBlur(shape, (0, 0), 0.7), to_frame)
    return [backdrop, front], size


def part_way(matrix: np.ndarray, time: float) -> np.ndarray:
    """A similarity's share: 3x3 that turns, zooms and shifts ``time`` of the way along its arc."""
    factor, shift = complex(matrix[0, 0], matrix[1, 0]), complex(matrix[0, 2], matrix[1, 2])
    if abs(np.log(factor)) < 1e-12:
        part, moved = 1 + 0j, shift * time
    else:
        part = np.exp(time * np.log(factor))
        moved = shift * (part - 1) / (factor - 1)
    return np.array([[part.real, -part.imag, moved.real], [part.imag, part.real, moved.imag], [0, 0, 1]])


def moved_clip(
    layers: list[Layer],
    kind: str,
    size: tuple[int, int],
    random: np.random.Generator,
    times: list[float],
    noise: float = NOISE,
) -> MovedClip:
    """First and last frame of a scene moved in one of :data:`KINDS`, with noise of ``noise`` levels, and the frames
    at ``times`` between them without noise: every layer on the arc of its motion, light that changes evenly."""
    motion, placed, seen = motions(kind, len(layers), size, random), {}, {}
    for time in (0, 1, *times):
        placed[time], seen[time] = _render(layers, [part_way(matrix, time) for matrix in motion], size, random)
    if kind in ("lighting", "combined"):
        light = random.bit_generator.state
        for time, frame in placed.items():
            random.bit_generator.state = light
            placed[time] = frame + (_relit(frame, random) - frame) * time
    noisy = [placed[time] + random.normal(0, noise, placed[time].shape) for time in (0, 1)]
    frames = [np.clip(frame, 0, 255).round().astype(np.uint8) for frame in (*noisy, *(placed[t] for t in times))]
    return MovedClip(frames[0], frames[1], frames[2:], seen, motion)
