"""``python -m tools.draw_brand``: the registry's icon and banner, from the demo's drawing.

Both show the first key frame, the last one, and the motion of their lines between them.
"""

import cv2
import numpy as np
from betwixt.demo.scene import draw_frame
from betwixt.demo.street import HEIGHT, WIDTH, moved, shapes

from support.bootstrap import ROOT

ICON = 400
BANNER = (1260, 540)  # 21:9
DARK, LIGHT = (27, 24, 24), (240, 220, 170)
STEPS = 9


def inbetweens(width: int, height: int) -> np.ndarray:
    """The outlines at several times on a dark ground, from one colour to the other; BGR uint8."""
    canvas = np.full((HEIGHT, WIDTH, 3), DARK, np.uint8)
    for time in np.linspace(0, 1, STEPS):
        colour = tuple(int(255 * part) for part in (1 - time, 0.55, time))
        for shape in shapes():
            points = np.round(moved(shape, float(time)) * 16).astype(np.int32)
            cv2.polylines(canvas, [points], shape.fill is not None, colour, 1, cv2.LINE_AA, 4)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def banner() -> np.ndarray:
    """First key frame, the lines between, last key frame; BGR uint8."""
    width, height = BANNER
    scaled = height * WIDTH // HEIGHT
    parts = [cv2.resize(draw_frame(time)[..., ::-1], (scaled, height)) for time in (0.0, 1.0)]
    middle = inbetweens(scaled, height)
    third, left = width // 3, (scaled - width // 3) * 2 // 3
    strips = [picture[:, left : left + third] for picture in (parts[0], middle, parts[1])]
    return np.ascontiguousarray(np.concatenate(strips, axis=1))


def icon() -> np.ndarray:
    """A key frame, what lies between, a key frame: three bars; BGR uint8."""
    picture = np.full((ICON, ICON, 3), DARK, np.uint8)
    for number, x in enumerate(np.linspace(60, ICON - 60, 7)):
        key = number in (0, 6)
        half = 120 if key else int(40 + 70 * abs(number - 3) / 3)
        centre = (round(float(x)), ICON // 2)
        colour = LIGHT if key else tuple(int(255 * part) for part in (1 - number / 6, 0.55, number / 6))
        cv2.line(picture, (centre[0], centre[1] - half), (centre[0], centre[1] + half), colour, 26, cv2.LINE_AA)
    return picture


def main() -> None:
    cv2.imwrite(str(ROOT / "docs" / "icon.png"), icon())
    cv2.imwrite(str(ROOT / "docs" / "banner.png"), banner())


if __name__ == "__main__":
    main()
