"""Scene cuts found and missed, on clips whose cuts are known.

``python -m benchmarks.scene_cuts [--data FOLDER]``: drawn scenes with cuts, flashes, pans, noise and fades. With
``--data`` also the pictures (.png, .jpg) and videos (.mp4) of a folder, two videos or more. Where PySceneDetect is
installed, its content detectors at their defaults are shown beside it.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from betwixt.common.clips.scene_cuts import find_cuts
from betwixt.common.pictures import to_float

from benchmarks.common import Report, options
from support.pictures.cut_clips import CutClip, cut_clips, drawn_pictures, stored_pictures, stored_shots

DRAWN, SHOT = 24, 24  # pictures; frames of a piece of video
SECOND = ("_end", "_frame3")  # second pictures of a scene: no cut from the first


def clips_of(folder: Path | None) -> list[CutClip]:
    """The set; the files of ``folder`` come behind the drawn pictures."""
    clips = cut_clips(1, drawn_pictures(np.random.default_rng(0), DRAWN))
    if folder is not None:
        files = sorted(folder.rglob("*"))
        pictures = [file for file in files if file.suffix in (".png", ".jpg") and not file.stem.endswith(SECOND)]
        clips += cut_clips(
            2, stored_pictures(pictures), stored_shots([file for file in files if file.suffix == ".mp4"], SHOT)
        )
    return clips


def detectors() -> dict[str, Callable[[np.ndarray], Sequence[int]]]:
    """Name -> cuts of uint8 RGB frames."""
    found = {"this pack": lambda frames: find_cuts(to_float(frames))}
    try:
        from scenedetect.detectors import AdaptiveDetector, ContentDetector
    except ImportError:
        return found
    for kind in (ContentDetector, AdaptiveDetector):
        found[f"PySceneDetect, {kind.__name__}"] = lambda frames, kind=kind: _pyscenedetect(frames, kind)
    return found


def _pyscenedetect(frames: np.ndarray, kind) -> list[int]:
    from scenedetect.common import FrameTimecode

    detector = kind(min_scene_len=1)
    cuts = []
    for number, frame in enumerate(frames):
        cuts += detector.process_frame(FrameTimecode(number, 25.0), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    cuts += detector.post_process(FrameTimecode(len(frames) - 1, 25.0))
    return [cut.frame_num for cut in cuts]


def main() -> None:
    parser = options(__doc__, repeats=1, threads=1)
    parser.add_argument("--data", type=Path, help="folder with pictures and videos to make further clips of")
    given = parser.parse_args()
    report = Report("scene_cuts", given)
    clips = clips_of(given.data)
    totals = {}
    by_kind = defaultdict(list)
    for name, find in detectors().items():
        counts = np.zeros(3, int)  # found, false, missed
        for clip in clips:
            found = set(find(clip.frames))
            result = np.array([len(found & {*clip.cuts}), len(found - {*clip.cuts}), len({*clip.cuts} - found)])
            counts += result
            by_kind[clip.kind].append((name, result))
        totals[name] = counts
    with report.table(
        "totals",
        f"{len(clips)} clips, {sum(len(clip.cuts) for clip in clips)} cuts",
        ["detector", "found", "false", "missed", "precision", "recall"],
    ) as table:
        for name, (right, false, missed) in totals.items():
            precision, recall = right / max(right + false, 1), right / (right + missed)
            table.add(name, int(right), int(false), int(missed), precision, recall)
    with report.table("kinds", "By kind of clip", ["kind", "detector", "found", "false", "missed"]) as table:
        for kind in sorted(by_kind):
            for name in totals:
                counts = sum(result for detector, result in by_kind[kind] if detector == name)
                table.add(kind, name, *map(int, counts))


if __name__ == "__main__":
    main()
