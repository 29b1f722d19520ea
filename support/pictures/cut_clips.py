"""Clips with known scene cuts, and with much that looks like one: flashes, pans, noise, fades, a red wall, motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from support.pictures.drawn_scenes import SCENES, drawn_layers
from support.pictures.moved_pictures import moved_pair
from support.pictures.painted_scene import drawn_picture

HEIGHT, WIDTH = 144, 256
DRAWN = 432, 768  # size that the scenes are drawn at
LARGE = 1.6  # size of the pictures that the camera moves over, against the frame's
CAMERAS = {"still": 0.0, "slow": 0.006, "quick": 0.05}  # of the frame's width per frame


@dataclass(frozen=True)
class CutClip:
    """``frames``: uint8 RGB [T, H, W, 3]; ``cuts``: the frames at which a new scene begins."""

    kind: str
    frames: np.ndarray
    cuts: tuple[int, ...] = ()


def drawn_pictures(random: np.random.Generator, count: int) -> list[np.ndarray]:
    """Different pictures, larger than the frames."""
    size = round(HEIGHT * LARGE), round(WIDTH * LARGE)
    pictures = []
    for index in range(count):
        if index % 4 == 3:
            pictures.append(drawn_picture(random, *size))
        else:
            layers = drawn_layers(SCENES[index % 4], DRAWN, random, bool(index % 2))
            pair = moved_pair(layers, "translation", DRAWN, random)
            pictures.append(cv2.resize(pair.first, size[::-1], interpolation=cv2.INTER_AREA))
    return pictures


def stored_pictures(paths: Sequence[Path]) -> list[np.ndarray]:
    """Pictures from files, cut and brought to that size."""
    result = []
    for path in paths:
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        scale = max(HEIGHT * LARGE / height, WIDTH * LARGE / width)
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        result.append(picture[: round(HEIGHT * LARGE), : round(WIDTH * LARGE)])
    return result


def stored_shots(paths: Sequence[Path], length: int) -> list[list[np.ndarray]]:
    """Each video in pieces of ``length`` frames of the frame size."""
    videos = []
    for path in paths:
        with av.open(str(path)) as video:
            frames = [frame.to_ndarray(format="rgb24", width=WIDTH, height=HEIGHT) for frame in video.decode(video=0)]
        starts = range(0, len(frames) - length + 1, length)
        videos.append([np.stack(frames[start : start + length]) for start in starts])
    return videos


def shot(random, picture: np.ndarray, length: int, camera: str = "slow", figure: bool = True) -> np.ndarray:
    """A camera on its way over a picture, in which something crosses the frame."""
    height, width = picture.shape[:2]
    step = CAMERAS[camera] * WIDTH
    heading = random.uniform(0, 2 * np.pi)
    zoom = random.uniform(-0.004, 0.004) if camera == "slow" else 0.0
    free = np.array([width - WIDTH, height - HEIGHT]) / 2
    frames = []
    for number in range(length):
        away = (number - length / 2) * step
        x, y = away * np.cos(heading), away * np.sin(heading) * 0.5
        x, y = (free * np.sin(np.array([x, y]) / np.maximum(free, 1))).tolist()  # turns round at the sides
        scale = 1 + zoom * number
        matrix = np.array([[scale, 0, (width - WIDTH * scale) / 2 + x], [0, scale, (height - HEIGHT * scale) / 2 + y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frame = cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)
        if figure:
            place = int(WIDTH * (0.1 + 0.8 * number / length)), int(HEIGHT * 0.75)
            cv2.ellipse(frame, place, (18, 40), 0, 0, 360, tuple(int(v) for v in picture[0, 0] // 2 + 40), -1)
            cv2.circle(frame, (place[0], place[1] - 48), 12, (225, 180, 150), -1)
        frames.append(frame)
    return np.stack(frames)


def noisy(random, frames: np.ndarray, strength: float, brightness: float = 1.0) -> np.ndarray:
    noise = random.normal(0, strength, frames.shape)
    return np.clip(frames * brightness + noise, 0, 255).astype(np.uint8)


def flashed(random, frames: np.ndarray, length: int) -> np.ndarray:
    """A flash of ``length`` frames in the middle."""
    result, middle = frames.copy(), len(frames) // 2
    light = np.linspace(1.0, 0.5, length)[:, None, None, None]
    part = result[middle : middle + length]
    result[middle : middle + length] = (part + (255 - part) * light * random.uniform(0.7, 1.0)).astype(np.uint8)
    return result


def faded(before: np.ndarray, after: np.ndarray, length: int, through_black: bool) -> np.ndarray:
    """One shot dissolves into another, or both fade through black."""
    if through_black:
        down = before.copy()
        ramp = np.linspace(1, 0, length)[:, None, None, None]
        down[-length:] = (down[-length:] * ramp).astype(np.uint8)
        up = after.copy()
        up[:length] = (up[:length] * ramp[::-1]).astype(np.uint8)
        return np.concatenate([down, up])
    share = np.linspace(0, 1, length)[:, None, None, None]
    mixed = (before[-length:] * (1 - share) + after[:length] * share).astype(np.uint8)
    return np.concatenate([before[:-length], mixed, after[length:]])


def red_wall(random, length: int = 24) -> np.ndarray:
    """A wall whose hue lies about the end of the hue circle, and somebody walking by."""
    y, x = np.indices((HEIGHT, WIDTH))
    wall = np.stack([190 + 20 * np.sin(x / 37.0), 25 + 6 * np.sin(x / 11.0), 25 + 6 * np.cos(y / 9.0)], axis=-1)
    drift = random.uniform(-0.6, 0.6)
    frames = np.stack([wall + [0, drift * number, -drift * number] for number in range(length)])
    for number, frame in enumerate(frames):
        cv2.rectangle(frame, (number * 8, 50), (number * 8 + 30, 140), (60, 80, 160), -1)
    return noisy(random, frames, 2.0)


def joined(kind: str, shots: Sequence[np.ndarray]) -> CutClip:
    """Shots one after the other, a cut at every joint."""
    return CutClip(kind, np.concatenate(shots), tuple(np.cumsum([len(part) for part in shots])[:-1].tolist()))


def cut_clips(seed: int, pictures: Sequence[np.ndarray], videos: Sequence[list[np.ndarray]] = ()) -> list[CutClip]:
    """The whole set: 14 clips for every two pictures, three for every piece of video."""
    random, clips = np.random.default_rng(seed), []
    for index in range(0, len(pictures) - 2, 2):
        three = [pictures[(index + offset) % len(pictures)] for offset in range(3)]
        lengths = random.integers(9, 22, 3)
        for camera in CAMERAS:
            parts = [shot(random, picture, length, camera) for picture, length in zip(three, lengths, strict=True)]
            clips.append(joined(f"cuts, camera {camera}", parts))
        clips.append(joined("cuts, film grain", [noisy(random, part, 9.0) for part in parts]))
        clips.append(joined("cuts, dark", [noisy(random, part, 3.0, 0.3) for part in parts]))
        calm = shot(random, three[0], 24)
        clips.append(CutClip("no cut, dark and noisy", noisy(random, calm, 8.0, 0.12)))
        clips.append(CutClip("no cut, quick pan", shot(random, three[1], 24, "quick")))
        clips += [CutClip(f"no cut, flash of {n}", flashed(random, calm, n)) for n in (1, 2, 4)]
        other = shot(random, three[2], 24)
        clips.append(CutClip("no cut, dissolve", faded(calm, other, 10, False)))
        clips.append(CutClip("no cut, fade through black", faded(calm, other, 8, True)))
        clips.append(CutClip("no cut, red wall", red_wall(random)))
        clips.append(joined("cut and flash", [flashed(random, calm, 2), other]))
    for number, shots in enumerate(videos):
        others = videos[(number + 1) % len(videos)]
        for index, part in enumerate(shots):
            clips.append(CutClip("no cut, live action", part))
            clips.append(CutClip("no cut, live action with a flash", flashed(random, part, 2)))
            following = others[index % len(others)]
            clips.append(joined("cuts, live action", [part[: len(part) // 2], following[: len(following) // 2]]))
    return clips
