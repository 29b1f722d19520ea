"""FCVG's condition pictures: matched lines and poses of two key frames, interpolated frame by frame."""

from collections.abc import Mapping

import numpy as np
import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.pictures import rgb_frames, same_size, single_frame
from ...fcvg_core.lines.matches import LineMatches
from ...fcvg_core.lines.palette import line_colours
from ...fcvg_core.poses.pose import PoseFrame
from ...fcvg_core.poses.pose_keypoint import read_pose_keypoints
from ...fcvg_core.tweening.arcs import arc_segments
from ...fcvg_core.tweening.condition_chain import chain_conditions
from ...fcvg_core.tweening.condition_frames import draw_conditions, pose_sequence
from ...fcvg_core.tweening.condition_preview import overlay_conditions
from ...fcvg_core.tweening.drawn_paths import pull_poses, pull_segments
from ...fcvg_core.tweening.line_interpolation import interpolate_segments
from ...fcvg_core.tweening.pose_interpolation import interpolate_poses
from ...fcvg_core.tweening.tracks import TRACK_POINTS, host_tracks, joint_tracks, line_tracks
from .. import sockets
from ..checked_node import CheckedNode
from ..host.services.memory import require_memory
from ..host.services.notices import show_notice
from ..host.services.progress import NodeProgress
from ..search_words import INBETWEENS
from ..shared_inputs import fraction_input, frame_count_input, seed_input
from .condition_inputs import fractions_of, hold_input, path_input, paths_of, timing_input

CATEGORY = "Betwixt/FCVG"
BYTES_PER_PIXEL = 27  # conditions in 8 bits and float32, and the preview
KeyPoses = tuple[PoseFrame, PoseFrame]


def _frame_count_input() -> io.Int.Input:
    return frame_count_input("Frames of the clip, both key frames included. FCVG was trained on 25; 14 to 25 work.")


def _drawing_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "thickness",
            default=1,
            min=1,
            max=16,
            tooltip="Width of the lines in pixels. FCVG was trained on 1; wider ones are for other models.",
        ),
        seed_input(
            "Shuffles the colours among the lines. Only a line's constancy over the frames matters.",
        ),
        fraction_input(
            "joint_threshold",
            0.0,
            "Between the key frames, joints with at most this score get no dot. 0: all get one, dim where the "
            "joint was not seen, as published; 0.3 hides what the key frames hide.",
            advanced=True,
        ),
        io.Boolean.Input(
            "published_hands",
            default=False,
            advanced=True,
            tooltip="Reproduce FCVG's fault when the key frames show different numbers of people: hands may travel to "
            "another person or side, surplus people vanish between the key frames.",
        ),
        io.Combo.Input(
            "track_points",
            options=list(TRACK_POINTS),
            default="midpoints",
            advanced=True,
            tooltip="Which points of each line become tracks; body joints always do.",
        ),
    ]


class InterpolateConditions(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtInterpolateConditions",
            display_name="Interpolate Conditions",
            category=CATEGORY,
            description="Moves matched lines and poses from the first to the last key frame and draws one condition "
            "picture per frame, for FCVG's ControlNeXt. Timing and path are free; the defaults are the published ones.",
            search_aliases=[
                "fcvg",
                "inbetween",
                "easing",
                "timing chart",
                "frame-wise condition",
                "tween",
                *INBETWEENS,
            ],
            inputs=[
                _frame_count_input(),
                timing_input(),
                hold_input(),
                path_input(),
                *_drawing_inputs(),
                sockets.LineMatches.Input(
                    "line_matches", optional=True, tooltip="Matched lines of the two key frames, from 'Match Lines'."
                ),
                sockets.PoseKeypoint.Input(
                    "start_poses",
                    optional=True,
                    tooltip="Poses of the first key frame; or of both, two frames, when end_poses is not connected.",
                ),
                sockets.PoseKeypoint.Input("end_poses", optional=True, tooltip="Poses of the last key frame."),
                io.Image.Input(
                    "start_image", optional=True, tooltip="First key frame: for the preview and for the size."
                ),
                io.Image.Input("end_image", optional=True, tooltip="Last key frame: for the preview and for the size."),
            ],
            outputs=[
                io.Image.Output(display_name="conditions", tooltip="One condition picture per frame, for ControlNeXt."),
                io.Tracks.Output(
                    display_name="tracks",
                    tooltip="The same motion as point tracks in pixels, for models steered by TRACKS.",
                ),
                io.Image.Output(
                    display_name="preview",
                    tooltip="The conditions over a cross-fade of the key frames; the conditions alone without images.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        frame_count,
        timing,
        hold,
        path,
        thickness,
        seed,
        joint_threshold,
        published_hands,
        track_points,
        line_matches=None,
        start_poses=None,
        end_poses=None,
        start_image=None,
        end_image=None,
    ) -> io.NodeOutput:
        fractions = fractions_of(timing, frame_count, hold)
        images = _key_images(start_image, end_image)
        size = tuple(images[0].shape[:2]) if images else None
        if size is None and line_matches is not None:
            size = tuple(line_matches.canvas)
        key_poses = _key_poses(start_poses, end_poses, size)
        canvas = _canvas(line_matches, key_poses, images)
        require_memory(
            frame_count, *canvas, BYTES_PER_PIXEL, "condition pictures", "Lower 'frame_count' or take smaller pictures."
        )
        segments = None if line_matches is None else _moved_lines(line_matches, fractions, path)
        poses = None
        if key_poses is not None:
            poses = _moved_poses(key_poses, fractions, path, canvas, published_hands, joint_threshold)
        cls._tell_if_black(line_matches, key_poses)
        conditions = draw_conditions(
            segments,
            None if segments is None else line_colours(len(line_matches), seed),
            None if poses is None else pose_sequence(poses, *key_poses, fractions),
            canvas,
            thickness,
            NodeProgress(cls.hidden.unique_id),
        )
        tracks = _tracks(segments, track_points, poses, key_poses, canvas, frame_count)
        preview = conditions if images is None else overlay_conditions(conditions, *images, fractions)
        return io.NodeOutput(conditions, tracks, preview)

    @classmethod
    def _tell_if_black(cls, line_matches: LineMatches | None, key_poses: KeyPoses | None) -> None:
        if not line_matches and not any(len(frame) for frame in key_poses or ()):
            show_notice(cls.hidden.unique_id, "No matched line and no person: the conditions are black.")


def _key_poses(start_poses: object, end_poses: object, size: tuple[int, int] | None) -> KeyPoses | None:
    """The poses of both key frames, or None when there is nothing connected.

    ``size``: (height, width) of the key frames where it is known, for poses that do not say it.
    """
    if start_poses is None and end_poses is None:
        return None
    if start_poses is None:
        raise BetwixtError(
            "'end_poses' is connected and 'start_poses' is not.",
            "Poses of both key frames are needed; a picture without people has an empty list.",
            "Connect 'start_poses'.",
        )
    first = read_pose_keypoints(start_poses, "start_poses", size)
    if end_poses is None:
        if len(first) != 2:
            raise BetwixtError(
                f"'end_poses' is not connected and the number of frames in 'start_poses' is {len(first)}.",
                "Without 'end_poses' it must have exactly two frames, the key frames.",
                "Connect the last key frame's poses to 'end_poses'.",
            )
        return first[0], first[1]
    last = read_pose_keypoints(end_poses, "end_poses", size)
    for name, frames in (("start_poses", first), ("end_poses", last)):
        if len(frames) != 1:
            raise BetwixtError(
                f"'{name}' has {len(frames)} frames.",
                "With both connected, each must have one frame, its key frame.",
                "Extract the poses of that key frame alone.",
            )
    return first[0], last[0]


def _key_images(start_image, end_image) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Both key frames [H, W, 3]; a single one stands for both."""
    images = [
        single_frame(image, name)
        for image, name in ((start_image, "start_image"), (end_image, "end_image"))
        if image is not None
    ]
    if not images:
        return None
    same_size(images[0], images[-1], "start_image", "end_image")
    return images[0], images[-1]


def _canvas(line_matches: LineMatches | None, key_poses: KeyPoses | None, images) -> tuple[int, int]:
    """(height, width) of the conditions: the images', else the lines', else the poses'."""
    if line_matches is None and key_poses is None:
        raise BetwixtError(
            "Neither lines nor poses are connected.",
            "Conditions are made from matched lines, from poses, or from both.",
            "Connect 'line_matches', or 'start_poses' and 'end_poses'.",
        )
    canvas = tuple(images[0].shape[:2]) if images else None
    if line_matches is not None:
        lines = tuple(line_matches.canvas)
        if canvas not in (None, lines):
            raise BetwixtError(
                f"The lines were matched on {lines[1]}x{lines[0]} pictures, the images are {canvas[1]}x{canvas[0]}.",
                "Both must have the same size, or the lines would be in the wrong place.",
                "Connect the same images here and to 'Match Lines'.",
            )
        canvas = lines
    if key_poses is not None:
        canvas = canvas or key_poses[0].canvas
        for frame, name in zip(key_poses, ("start_poses", "end_poses"), strict=True):
            frame.require_aspect(*canvas, name)
    return canvas


def _moved_lines(matches: LineMatches, fractions: np.ndarray, path: Mapping) -> np.ndarray:
    """float32 (F, M, 2, 2)."""
    ends = matches.start, matches.end
    match path["path"]:
        case "straight":
            return interpolate_segments(*ends, fractions)
        case "arc":
            return arc_segments(*ends, fractions, matches.canvas, path["pivot"])
        case _:
            rolling = arc_segments(*ends, fractions, matches.canvas, "own centre")
            return pull_segments(paths_of(path), rolling, *ends, fractions, path["radius"])


def _moved_poses(
    key_poses: KeyPoses,
    fractions: np.ndarray,
    path: Mapping,
    canvas: tuple[int, int],
    published_hands: bool,
    joint_threshold: float,
) -> list[PoseFrame]:
    poses = interpolate_poses(*key_poses, fractions, published_hands, joint_threshold or None)
    if path["path"] != "drawn":
        return poses
    in_both = range(min(map(len, key_poses)))
    ends = [frame.select(in_both) for frame in interpolate_poses(*key_poses, [0, 1], published_hands)]
    return pull_poses(paths_of(path), poses, tuple(ends), fractions, path["radius"], canvas)


def _tracks(
    segments: np.ndarray | None,
    track_points: str,
    poses: list[PoseFrame] | None,
    key_poses: KeyPoses | None,
    canvas: tuple[int, int],
    frame_count: int,
) -> dict[str, torch.Tensor]:
    """Lines, then joints of the people that are in both key frames."""
    points, visible = [np.zeros((frame_count, 0, 2))], [np.zeros((frame_count, 0), bool)]
    if segments is not None:
        points.append(line_tracks(segments, track_points))
        visible.append(np.ones(points[-1].shape[:2], bool))
    if poses is not None:
        for parts, part in zip((points, visible), joint_tracks(poses, min(map(len, key_poses)), canvas), strict=True):
            parts.append(part)
    return host_tracks(np.concatenate(points, axis=1), np.concatenate(visible, axis=1), canvas)


class ChainConditions(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        part = io.Image.Input(
            "part", tooltip="Conditions of two consecutive key frames; the next part begins where this one ends."
        )
        return io.Schema(
            node_id="BetwixtChainConditions",
            display_name="Chain Conditions",
            category=CATEGORY,
            description="Joins the conditions of several key frame pairs (1-2, 2-3, ...) to one continuous clip in "
            "which every key frame between two parts stands once. Each part keeps its own frame count and timing.",
            search_aliases=["key frames", "concatenate", "join segments", "inbetween"],
            inputs=[
                io.Autogrow.Input(
                    "parts",
                    template=io.Autogrow.TemplatePrefix(part, prefix="part", min=1, max=50),
                    tooltip="The conditions (or previews) of each pair, in order, all of one size.",
                ),
                io.Boolean.Input(
                    "published_timing",
                    default=True,
                    tooltip="On when the parts were made with timing 'published', where key frames stand for two "
                    "frames at either end: three of the four at a joint are dropped. Off: one of the two.",
                ),
            ],
            outputs=[io.Image.Output(display_name="conditions", tooltip="The continuous clip.")],
        )

    @classmethod
    def execute(cls, parts, published_timing) -> io.NodeOutput:
        clips = [rgb_frames(part, name) for name, part in parts.items()]
        return io.NodeOutput(chain_conditions(clips, published_timing))


NODES = [InterpolateConditions, ChainConditions]
