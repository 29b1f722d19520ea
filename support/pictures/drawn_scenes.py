"""Small drawn scenes with straight lines: a room, a street front, loose objects; textured or flat like a cartoon."""

import cv2
import numpy as np

from support.pictures.moved_pictures import MARGIN, Layer

FINENESS = 2  # canvas pixels per frame pixel
SCENES = ("room", "facade", "objects")


class _Canvas:
    """Draws in frame pixels of a ``size`` (height, width) frame, beyond whose sides the canvas goes on."""

    def __init__(self, size, colour=None):
        self.height, self.width = size
        self.offset = np.array([self.width, self.height]) * MARGIN
        shape = tuple(round(side * (1 + 2 * MARGIN) * FINENESS) for side in size)
        self.colour = np.zeros((*shape, 3), np.float32)
        self.alpha = np.zeros(shape, np.float32)
        if colour is not None:
            self.colour[:], self.alpha[:] = colour, 1

    def _fixed(self, points):
        return [np.round((np.asarray(points, float) + self.offset) * FINENESS * 16).astype(np.int32)]

    def fill(self, points, colour, outline=None, stroke=2.0, texture=None):
        """Polygon of one colour, or of ``texture`` (an array of the canvas' shape); dark outline."""
        fixed = self._fixed(points)
        low = np.maximum(fixed[0].min(axis=0) // 16 - 1, 0)
        part = tuple(
            slice(a, max(a, b)) for a, b in zip(low[::-1], (fixed[0].max(axis=0) // 16 + 2)[::-1], strict=True)
        )
        shape = np.zeros(self.alpha[part].shape, np.uint8)
        if shape.size == 0:
            return
        cv2.fillPoly(shape, [fixed[0] - (low * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        share = shape[..., None] / np.float32(255)
        paint = np.float32(colour) if texture is None else np.float32(colour) + texture[part][..., None]
        self.colour[part] += share * (paint - self.colour[part])
        self.alpha[part] = np.maximum(self.alpha[part], share[..., 0])
        if outline is not None:
            self.line([*points, points[0]], outline, stroke)

    def line(self, points, colour, width=2.0):
        for target, value in ((self.colour, colour), (self.alpha, 1.0)):
            cv2.polylines(target, self._fixed(points), False, value, round(width * FINENESS), cv2.LINE_AA, 4)

    def box(self, x, y, width, height, colour, outline=None, **more):
        self.fill([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour, outline, **more)

    def noise(self, random, grain, strength, stretch=(1, 1)):
        """Smooth noise of the canvas' shape, ``grain`` frame pixels coarse, standard deviation ``strength``."""
        shape = self.alpha.shape
        step = grain * FINENESS
        cells = [max(2, round(s / (step * k))) for s, k in zip(shape, stretch, strict=True)]
        return cv2.resize(
            random.normal(0, strength, cells).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC
        )

    def layer(self) -> Layer:
        to_frame = np.diag([1 / FINENESS, 1 / FINENESS, 1.0])
        to_frame[:2, 2] = -self.offset + (0.5 / FINENESS - 0.5)
        blurred = cv2.GaussianBlur(self.colour.clip(0, 255), (0, 0), 0.45 * FINENESS)
        return Layer(blurred.round().astype(np.uint8), cv2.GaussianBlur(self.alpha, (0, 0), 0.3 * FINENESS), to_frame)


def _colour(random, low=40, high=235):
    return tuple(random.uniform(low, high, 3).tolist())


def _ink(random):
    return tuple(random.uniform(10, 60, 3).tolist())


def _room(size, random, textured):
    height, width = size
    canvas = _Canvas(size, _colour(random, 120, 230))
    left, right, top, bottom = width * 0.22, width * 0.74, height * 0.18, height * 0.68
    far = 1.5 * width
    ink = _ink(random)
    vanishing = np.array([width * 0.48, height * 0.42])

    def outward(x, y):
        return tuple(
            np.array([x, y])
            + (np.array([x, y]) - vanishing) / np.linalg.norm([x - vanishing[0], y - vanishing[1]]) * far
        )

    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    for number in range(4):
        first, second = corners[number], corners[(number + 1) % 4]
        texture = canvas.noise(random, 6, 5) if textured else None
        canvas.fill(
            [first, second, outward(*second), outward(*first)], _colour(random, 90, 230), ink, 1.5, texture=texture
        )
    for x in np.linspace(left - width * 0.1, right + width * 0.1, 9):  # floor boards
        x0 = min(max(x, left), right)
        canvas.line([(x0, bottom), outward(x, bottom + 30)], _ink(random), 1.2)
    texture = canvas.noise(random, 3, 9, (1, 8)) if textured else None
    for _ in range(3):
        x, y = random.uniform(left + 10, right - 150), random.uniform(top + 20, bottom - 120)
        w, h = random.uniform(60, 130), random.uniform(50, 100)
        canvas.box(x, y, w, h, _colour(random), ink, texture=texture, stroke=2.5)
        canvas.box(x + 8, y + 8, w - 16, h - 16, _colour(random), _ink(random), stroke=1.0)
        canvas.line([(x + w / 2, y + 8), (x + w / 2, y + h - 8)], ink, 1.5)
    return [canvas.layer(), _table(size, random, textured)]


def _table(size, random, textured):
    height, width = size
    canvas = _Canvas(size)
    x, y, w = random.uniform(0.1, 0.5) * width, random.uniform(0.55, 0.65) * height, random.uniform(0.3, 0.45) * width
    texture = canvas.noise(random, 2, 12, (1, 14)) if textured else None
    wood, ink = _colour(random, 60, 170), _ink(random)
    for leg in (0.04, 0.9):
        canvas.box(x + leg * w, y + 20, 0.06 * w, 0.32 * height, wood, ink, stroke=1.8, texture=texture)
    canvas.fill(
        [(x, y + 22), (x + w, y + 22), (x + 0.88 * w, y - 14), (x + 0.12 * w, y - 14)], wood, ink, texture=texture
    )
    canvas.box(x, y + 22, w, 16, _colour(random, 60, 170), ink, texture=texture)
    for share in (0.25, 0.55):
        tall = random.uniform(40, 80)
        canvas.box(x + share * w, y - tall, 0.14 * w, tall, _colour(random), ink, texture=texture)
        canvas.line([(x + share * w, y - tall * 0.6), (x + (share + 0.14) * w, y - tall * 0.7)], ink, 1.2)
    return canvas.layer()


def _facade(size, random, textured):
    height, width = size
    sky = _Canvas(size, _colour(random, 150, 235))
    if textured:
        sky.colour += sky.noise(random, 60, 14)[..., None]
    for _ in range(7):
        x, top = random.uniform(-0.3, 1.2) * width, random.uniform(0.2, 0.5) * height
        sky.box(x, top, random.uniform(50, 140), 2 * height, _colour(random, 120, 200), _ink(random), stroke=1.2)
    house = _Canvas(size)
    left, right, top = -0.1 * width, random.uniform(0.55, 0.75) * width, random.uniform(0.12, 0.25) * height
    ink, wall = _ink(random), _colour(random, 110, 220)
    texture = house.noise(random, 2, 8) if textured else None
    house.box(left, top, right - left, 2 * height, wall, ink, texture=texture)
    pitch_x, pitch_y = random.uniform(70, 95), random.uniform(80, 110)
    pane, frame = _colour(random, 30, 130), _colour(random, 160, 250)
    for row in range(8):
        for column in range(int((right - left) / pitch_x)):
            x, y = left + 15 + column * pitch_x, top + 24 + row * pitch_y
            w, h = 0.55 * pitch_x, 0.6 * pitch_y
            shade = random.uniform(-25, 25)
            house.box(x, y, w, h, tuple(np.clip(np.add(pane, shade), 5, 250)), frame, stroke=2.5)
            house.line([(x + w / 2, y), (x + w / 2, y + h)], frame, 1.5)
            if random.random() < 0.4:  # a blind, half down: windows are alike but not the same
                house.box(x, y, w, h * random.uniform(0.2, 0.7), _colour(random), frame, stroke=1.0)
    post = _Canvas(size)
    x = random.uniform(0.6, 0.85) * width
    post.box(x, -0.2 * height, 14, 1.5 * height, _colour(random, 30, 120), _ink(random), stroke=1.5)
    post.box(x - 40, 0.3 * height, 94, 60, _colour(random), _ink(random), stroke=2.0)
    post.line([(x - 30, 0.3 * height + 20), (x + 40, 0.3 * height + 20)], _ink(random), 3.0)
    return [sky.layer(), house.layer(), post.layer()]


def _objects(size, random, textured):
    height, width = size
    ground = _Canvas(size, _colour(random, 130, 230))
    if textured:
        ground.colour += ground.noise(random, 4, 7)[..., None]
    for _ in range(14):
        start = random.uniform(-0.2, 1.2, 2) * (width, height)
        ground.line(
            [start, start + random.uniform(-0.4, 0.4, 2) * width], _colour(random, 60, 200), random.uniform(1, 5)
        )
    layers = [ground.layer()]
    for _ in range(2):
        canvas = _Canvas(size)
        for _ in range(5):
            centre, radius = random.uniform(0.1, 0.9, 2) * (width, height), random.uniform(35, 95)
            count = int(random.integers(3, 7))
            angles = (
                random.uniform(0, 2 * np.pi) + np.arange(count) * 2 * np.pi / count + random.uniform(-0.3, 0.3, count)
            )
            points = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
            texture = canvas.noise(random, 3, 10) if textured and random.random() < 0.6 else None
            canvas.fill(list(points), _colour(random), _ink(random), random.uniform(1, 4), texture=texture)
            for a, b in ((0, 2), (1, count - 1)):
                inner = centre + 0.6 * (points[[a, b]] - centre)
                canvas.line(inner, _colour(random, 10, 250), random.uniform(1, 3))
        layers.append(canvas.layer())
    return layers


def drawn_layers(scene: str, size: tuple[int, int], random: np.random.Generator, textured: bool) -> list[Layer]:
    """The layers, backdrop first, of one of :data:`SCENES` for frames of ``size`` (height, width)."""
    return {"room": _room, "facade": _facade, "objects": _objects}[scene](size, random, textured)
