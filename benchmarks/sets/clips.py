"""A folder of clips: videos, and subfolders whose pictures are the frames of one clip."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from betwixt.common.errors import BetwixtError

VIDEOS = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
LAYOUT = "A folder of clips holds videos, or one subfolder per clip with its frames as pictures."


@dataclass(frozen=True)
class Clip:
    """One clip of a set.

    Attributes:
        name: of the file without its suffix, or of the folder.
        path: a video, or a folder of pictures.
    """

    name: str
    path: Path

    def frames(self) -> np.ndarray:
        """uint8 RGB [T, H, W, 3].

        Raises:
            BetwixtError: unreadable, empty, or pictures of different sizes.
        """
        frames = self._video() if self.path.is_file() else self._pictures()
        sizes = {frame.shape for frame in frames}
        if len(sizes) != 1:
            raise BetwixtError(
                f"The clip {self.path} holds no frame."
                if not sizes
                else f"The frames of {self.path} have the sizes "
                f"{', '.join(f'{width}x{height}' for height, width, _ in sorted(sizes))}.",
                "A clip has at least one frame, and all of one size.",
                "Write the frames of that clip again.",
            )
        return np.stack(frames)

    def _video(self) -> list[np.ndarray]:
        try:
            with av.open(str(self.path)) as video:
                return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        except (av.error.FFmpegError, IndexError) as error:
            raise _unreadable(self.path) from error

    def _pictures(self) -> list[np.ndarray]:
        frames = []
        for path in sorted(_pictures_in(self.path), key=_in_order):
            picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
            if picture is None:
                raise _unreadable(path)
            frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        return frames


def _unreadable(path: Path) -> BetwixtError:
    return BetwixtError(f"{path} cannot be read.", "Clips are videos or pictures.", "Write it again, or take it away.")


def _pictures_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]


def _in_order(path: Path) -> list:
    """So that frame10 stands behind frame9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def clips_in(folder: Path, names: list[str] | None = None) -> list[Clip]:
    """The clips of a set, by name.

    Args:
        names: only these; all must be there.

    Raises:
        BetwixtError: no such folder, no clips, two clips of one name, or one of ``names`` missing.
    """
    if not folder.is_dir():
        raise BetwixtError(f"The folder {folder} does not exist.", LAYOUT, "Check the path.")
    found = [path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in VIDEOS]
    found += [path for path in folder.iterdir() if path.is_dir() and _pictures_in(path)]
    clips = sorted((Clip(path.stem if path.is_file() else path.name, path) for path in found), key=lambda c: c.name)
    if not clips:
        loose = f" but {len(_pictures_in(folder))} pictures of its own" if _pictures_in(folder) else ""
        raise BetwixtError(f"{folder} holds no clip{loose}.", LAYOUT, "Name the folder above, or put frames into one.")
    double = [one.name for one, other in zip(clips, clips[1:], strict=False) if one.name == other.name]
    if double:
        raise BetwixtError(f"{folder} holds two clips named {double[0]}.", "Names are unique.", "Rename one of them.")
    if names is None:
        return clips
    known = {clip.name: clip for clip in clips}
    missing = [name for name in names if name not in known]
    if missing:
        raise BetwixtError(
            f"{folder} lacks {len(missing)} of {len(names)} clips (first: {missing[0]}).",
            "Every name of the list must be a clip of each set.",
            "Correct the list, or make the clip.",
        )
    return [known[name] for name in names]


def names_in(path: Path) -> list[str]:
    """The names in a list of clips: a text file with one per line, or a JSON list of objects with ``folder`` as
    TGI-Bench has it.

    Raises:
        BetwixtError: unreadable, or without names.
    """
    try:
        text = path.read_text("utf-8-sig")
        listed = json.loads(text) if path.suffix == ".json" else text.splitlines()
        names = [entry["folder"] if isinstance(entry, dict) else entry.strip() for entry in listed]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _no_list(path) from error
    names = [name for name in dict.fromkeys(names) if name and not name.startswith("#")]
    if not names:
        raise _no_list(path)
    return names


def _no_list(path: Path) -> BetwixtError:
    return BetwixtError(
        f"{path} holds no names of clips.",
        "A text file has one name per line, a JSON file a list of objects with 'folder'.",
        "Correct the list.",
    )
