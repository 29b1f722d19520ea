"""The demo's drawing: a street with a turning windmill and a walking figure, every shape with its known motion.

Time runs from 0 (first key frame) to 1 (last key frame). Coordinates are pixels of the 1024x576 picture.
"""

import math
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 1024, 576
INK = (44, 36, 52)

# Less than half the spacing of anything that repeats, so that the true motion is also the nearest one.
PAN = 36.0  # camera move in pixels over the clip, for a layer at depth 1
TURN = math.radians(30)  # of the windmill's sails over the clip


@dataclass(frozen=True)
class Shape:
    """A polygon or polyline of one rigid part.

    Attributes:
        part: the rigid part it moves with, a key of :func:`part_motion`.
        points: float64 (N, 2) pixel (x, y) at time 0.
        fill: RGB, or None for an open line.
        outline: width of the dark outline in pixels, 0 for none.
    """

    part: str
    points: np.ndarray
    fill: tuple[int, int, int] | None
    outline: float = 3.0


def part_motion(part: str, time: float) -> np.ndarray:
    """Affine 2x3 matrix that takes a part's points at time 0 to ``time``."""
    depth = {"hills": 0.25, "houses": 0.6, "sails": 0.6, "street": 1.0, "fence": 1.5}[part]
    shift = np.array([-PAN * depth * time, 0.0])
    angle = TURN * time if part == "sails" else 0.0
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([rotation, HUB - rotation @ HUB + shift])


HUB = np.array([742.0, 196.0])
SAILS = ((246, 238, 220), (214, 120, 96), (132, 166, 196), (238, 196, 104))  # unlike, so that a turn is unambiguous


def _polygon(part, points, fill, outline=3.0) -> Shape:
    return Shape(part, np.array(points, np.float64), fill, outline)


def _box(part, x, y, width, height, fill, outline=3.0) -> Shape:
    return _polygon(part, [(x, y), (x + width, y), (x + width, y + height), (x, y + height)], fill, outline)


def _house(x: float, width: float, top: float, wall, roof, columns: int) -> list[Shape]:
    ground = 430.0
    shapes = [
        _box("houses", x, top, width, ground - top, wall),
        _polygon("houses", [(x - 14, top), (x + width / 2, top - 74), (x + width + 14, top)], roof),
        _box("houses", x + width * 0.68, top - 88, 26, 62, (150, 92, 84)),
    ]
    pitch = width / columns
    for row in range(int((ground - top - 120) // 84) + 1):
        for column in range(columns):
            left, upper = x + pitch * column + pitch * 0.22, top + 26 + 84 * row
            w, h = pitch * 0.56, 50.0
            if upper + h > ground - 96 and x + width * 0.35 < left + w / 2 < x + width * 0.65:
                continue  # the door is there
            shapes.append(_box("houses", left, upper, w, h, (253, 226, 150) if (row + column) % 3 else (120, 140, 170)))
            for line in (
                [(left + w / 2, upper), (left + w / 2, upper + h)],
                [(left, upper + h / 2), (left + w, upper + h / 2)],
            ):
                shapes.append(_polygon("houses", line, None, 2.0))
    shapes.append(_box("houses", x + width * 0.4, ground - 82, width * 0.2, 82, (112, 72, 62)))
    return shapes


def _windmill() -> list[Shape]:
    x, y = HUB
    shapes = [
        _polygon("houses", [(x - 40, y), (x + 40, y), (x + 66, 432), (x - 66, 432)], (214, 196, 176)),
        _polygon("houses", [(x - 48, y + 4), (x, y - 58), (x + 48, y + 4)], (136, 76, 70)),
        _box("houses", x - 18, 350, 36, 82, (112, 72, 62)),
        _box("houses", x - 15, 262, 30, 38, (120, 140, 170)),
    ]
    for quarter in range(4):
        angle = math.radians(18 + 90 * quarter)
        along, across = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
        corners = [HUB + along * a + across * b for a, b in ((30, 4), (158, 4), (158, 42), (30, 42))]
        shapes.append(_polygon("sails", corners, SAILS[quarter]))
        shapes.append(_polygon("sails", [HUB, HUB + along * 164], None, 5.0))
        for step in range(1, 4):
            a = 30 + 32 * step
            shapes.append(_polygon("sails", [HUB + along * a + across * 4, HUB + along * a + across * 42], None, 2.0))
        shapes.append(_polygon("sails", [HUB + along * 30 + across * 23, HUB + along * 158 + across * 23], None, 2.0))
    return shapes


def _fence() -> list[Shape]:
    shapes = [_box("fence", -60, 520, 1260, 12, (126, 96, 84)), _box("fence", -60, 550, 1260, 12, (126, 96, 84))]
    for index in range(10):
        x = -70 + 128 * index
        points = [(x, 576), (x, 512), (x + 13, 498), (x + 26, 512), (x + 26, 576)]
        shapes.append(_polygon("fence", points, (158, 122, 102)))
    return shapes


def shapes() -> list[Shape]:
    """All moving shapes, back to front, without the walking figure."""
    hills = [
        _polygon(
            "hills",
            [
                (-80, 440),
                (-80, 330),
                (120, 250),
                (330, 335),
                (560, 238),
                (800, 338),
                (1010, 262),
                (1180, 330),
                (1180, 440),
            ],
            (124, 150, 156),
        ),
    ]
    street = [
        _polygon("street", [(-120, 428), (1300, 428), (1300, 600), (-120, 600)], (176, 164, 156)),
        _polygon("street", [(-120, 456), (1300, 456)], None, 3.0),
    ]
    for index in range(12):
        x = -100 + 118 * index
        street.append(_polygon("street", [(x + 30, 456), (x, 512)], None, 2.0))
    lamp = [
        _box("street", 556, 214, 9, 244, (70, 66, 84)),
        _polygon("street", [(560, 216), (612, 206)], None, 5.0),
        _polygon("street", [(598, 206), (628, 206), (636, 236), (590, 236)], (255, 226, 140)),
    ]
    return [
        *hills,
        *_house(36, 196, 226, (206, 142, 112), (134, 70, 72), 3),
        *_house(262, 158, 266, (150, 170, 150), (92, 84, 104), 2),
        *_windmill(),
        *_house(858, 214, 246, (196, 166, 120), (110, 80, 92), 3),
        *street,
        *lamp,
        *_fence(),
    ]


def moved(shape: Shape, time: float) -> np.ndarray:
    """A shape's points at ``time``, float64 (N, 2)."""
    matrix = part_motion(shape.part, time)
    return shape.points @ matrix[:, :2].T + matrix[:, 2]
