"""Inbetweens without a model: real frames from two or more key frames and a timing."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from comfy_api.latest import io, ui

from ...common.clips.keyframe_pairs import Gap, closed_loop
from ...common.clips.keyframe_pairs import gaps as all_gaps
from ...common.errors import BetwixtError
from ...common.number_lists import parse_numbers, parse_part
from ...fcvg_core.inbetween.clip import InbetweenClip, render_clip
from ...fcvg_core.inbetween.layers import MotionLayers
from ...fcvg_core.inbetween.rendering.travel import Travel
from ...fcvg_core.tweening.condition_chain import chain_conditions
from ...fcvg_core.tweening.easing import EASING_NAMES
from ...fcvg_core.tweening.tracks import host_tracks
from ...rerender_core.ebsynth.patch_filling import fill_with_patches
from ...rerender_core.flow.estimation import Flow
from .. import sockets
from ..checked_node import CheckedNode
from ..fcvg.condition_inputs import fractions_of, hold_input, path_input, paths_of, timing_input
from ..host.services.frame_interpolation import interpolated
from ..host.services.memory import require_memory
from ..host.services.notices import tell_odd_size
from ..host.services.progress import NodeProgress
from ..search_words import INBETWEENS
from ..shared_inputs import frame_count_input, gaps_input
from .layers import (
    CATEGORY,
    REFUSE,
    detail_input,
    evidence_inputs,
    find_layers,
    fit_input,
    key_frame_inputs,
    key_frames,
    masks_input,
    masks_of_things,
    poses_of_keys,
    tell_if_unexplained,
)

FILLED_BELOW = 0.95  # confidence below which a frame is worth a run of the interpolation model
DRAWN_OUT, PATCHES = "drawn out", "patches"
SEARCHING = 0.6  # share of the work that looking for layers is


class InbetweenWithoutModel(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtInbetweenWithoutModel",
            display_name="Inbetween without a Model",
            category=CATEGORY,
            description="Frames between key frames, on any machine: finds what moves together and renders it along a "
            "timing chart, arcs and drawn paths. A preview: rigid things, cameras, parallax and turning things come "
            "out right; what deforms or shows unseen sides dissolves.",
            search_aliases=["animatic", "timing chart", "warp", "slow motion", *INBETWEENS],
            inputs=[
                *key_frame_inputs(),
                frame_count_input("Frames from one key frame to the next, both included."),
                timing_input("even"),
                hold_input(),
                path_input("arc"),
                detail_input(),
                io.Boolean.Input(
                    "loop",
                    default=False,
                    tooltip="Also go from the last key frame back to the first, which then does not stand twice.",
                ),
                io.String.Input(
                    "frames_per_gap",
                    default="",
                    tooltip="With several key frames: frames of each gap when they differ, e.g. '25, 14, 20'. Empty: "
                    "frame_count for all.",
                ),
                *evidence_inputs(),
                sockets.MotionLayers.Input(
                    "layers",
                    optional=True,
                    tooltip="From 'Find Motion Layers' with the same key frames; then only rendering is left to do.",
                ),
                gaps_input(),
                io.String.Input(
                    "timing_per_gap",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="With several key frames: one line per gap, the name of an easing or a chart; an empty "
                    "line leaves that gap to 'timing'.",
                ),
                masks_input(),
                fit_input(),
                sockets.InterpolationModel.Input(
                    "interp_model",
                    optional=True,
                    tooltip="RIFE or FILM from 'Load Frame Interpolation Model'. Its frames are shown where the motion "
                    "is not known, in place of a dissolve.",
                ),
                io.Combo.Input(
                    "holes",
                    options=[DRAWN_OUT, PATCHES],
                    default=DRAWN_OUT,
                    optional=True,
                    tooltip="What neither key frame shows. drawn out: the colours around go on; patches: EbSynth's "
                    "patches of what lies behind, found once per gap, which takes some seconds more.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="The clip; key frames are in it bit by bit."),
                io.Mask.Output(
                    display_name="confidence",
                    tooltip="Per frame, white where the motion is known, black where the key frames dissolve.",
                ),
                io.Tracks.Output(
                    display_name="tracks",
                    tooltip="The motion as point tracks in pixels, for models steered by TRACKS.",
                ),
                sockets.Flow.Output(
                    display_name="flow",
                    tooltip="The motion between the key frames as optical flow, per gap, by frame numbers of the clip.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        start_image,
        end_image,
        frame_count,
        timing,
        hold,
        path,
        detail,
        loop,
        frames_per_gap,
        line_matches=None,
        flow=None,
        start_poses=None,
        end_poses=None,
        layers=None,
        gaps="",
        timing_per_gap="",
        masks=None,
        fit=REFUSE,
        interp_model=None,
        holes=DRAWN_OUT,
    ) -> io.NodeOutput:
        keys = key_frames(start_image, end_image, fit)
        size = tuple(keys.shape[1:3])
        lengths = parse_numbers(frames_per_gap, "frames_per_gap") or [frame_count]
        plan = all_gaps(len(keys), loop, lengths, [1.0])
        part = parse_part(gaps, "gaps", len(plan), "gaps")
        loop = loop and len(part) == len(plan)  # a part of a loop does not close it
        timings = _timings(timing, timing_per_gap, len(plan))[part.start : part.stop]
        plan = plan[part.start : part.stop]
        require_memory(
            sum(gap.frames for gap in plan),
            *keys.shape[1:3],
            40,
            "frames",
            "Lower 'frame_count' or 'frames_per_gap', or take smaller key frames.",
        )
        tell_odd_size(cls.hidden.unique_id, *size)
        fractions = [fractions_of(own, gap.frames, hold) for own, gap in zip(timings, plan, strict=True)]
        travel = _travel(path)
        progress = NodeProgress(cls.hidden.unique_id)
        begin = 0.0
        if layers is None:
            begin = SEARCHING
            layers = find_layers(
                keys,
                [(gap.start, gap.end) for gap in plan],
                detail,
                line_matches,
                flow,
                poses_of_keys(start_poses, end_poses, len(keys), size),
                masks_of_things(masks, size, len(plan), cls.hidden.unique_id),
                lambda share, text: progress(begin * share, text),
            )
        else:
            _check_layers(layers, keys, plan)
        complete = fill_with_patches if holes == PATCHES else None
        clips = []
        for number, (gap_layers, gap_fractions) in enumerate(zip(layers, fractions, strict=True)):

            def tell(share: float, text: str = "", preview=None, number=number) -> None:
                progress(begin + (1 - begin) * (number + share) / len(plan), text, preview)

            clips.append(render_clip(gap_layers, gap_fractions, travel, tell, complete))
            if interp_model is not None:
                _fill_unknown(clips[-1], gap_layers, gap_fractions, interp_model, tell)
        published = timing["timing"] == "published"
        frames = _joined([clip.frames for clip in clips], published, loop)
        confidence = _joined([clip.confidence[..., None] for clip in clips], published, loop)[..., 0]
        places = _places(plan, published, loop)
        unknown = tell_if_unexplained(cls.hidden.unique_id, layers, part.start)
        return io.NodeOutput(
            frames,
            confidence,
            _tracks(clips, places, len(frames), size),
            _flow(layers, places, len(frames)),
            ui=None if unknown is None else ui.PreviewImage(unknown, cls=cls),
        )


def _timings(timing: Mapping, text: str, gaps: int) -> list[Mapping]:
    """The timing of each gap: the widget's, or what its line of ``text`` says.

    Raises:
        BetwixtError: another number of lines than gaps.
    """
    lines = [line.strip() for line in text.rstrip().split("\n")] if text.strip() else [""] * gaps
    if len(lines) != gaps:
        raise BetwixtError(
            f"'timing_per_gap' has {len(lines)} lines, and there are {gaps} gaps between key frames.",
            "One line per gap is needed; it may be empty.",
            "Add or remove lines in 'timing_per_gap', or leave it empty.",
        )
    return [_timing_of(line) or timing for line in lines]


def _timing_of(line: str) -> Mapping | None:
    if line in EASING_NAMES:
        return {"timing": "easing", "easing": line}
    return {"timing": "chart", "chart": line} if line else None


def _fill_unknown(clip: InbetweenClip, layers: MotionLayers, fractions, interp_model, tell) -> None:
    """Show a model's frames where the motion is not known; changes the clip's frames in place."""
    between = [number for number, time in enumerate(fractions) if 0 < time < 1]
    poor = [number for number in between if clip.confidence[number].min() < FILLED_BELOW]
    times = sorted({float(fractions[number]) for number in poor})
    first, last = (torch.from_numpy(picture) for picture in layers.pictures)
    made = dict(
        zip(times, interpolated(interp_model, first, last, times, lambda share: tell(share, "filling")), strict=True)
    )
    for number in poor:
        unknown = (1 - clip.confidence[number])[..., None]
        clip.frames[number] += unknown * (made[float(fractions[number])] - clip.frames[number])


def _travel(path: Mapping) -> Travel:
    """On which ways things go, from the values of the widget ``path``."""
    match path["path"]:
        case "straight":
            return Travel(arcs=False)
        case "arc":
            return Travel(own_centre=path["pivot"] == "own centre")
        case _:
            return Travel(own_centre=True, paths=paths_of(path), radius=path["radius"])


def _check_layers(layers: Sequence[MotionLayers], keys: torch.Tensor, plan: Sequence[Gap]) -> None:
    """Refuse layers of other key frames."""
    remedy = "Connect the same key frames to 'Find Motion Layers' and here, with the same 'loop' and 'gaps'."
    if len(layers) != len(plan):
        raise BetwixtError(
            f"'layers' are those of {len(layers)} gaps between key frames, and there are {len(plan)}.",
            "Each gap needs its layers.",
            remedy,
        )
    for number, (gap_layers, gap) in enumerate(zip(layers, plan, strict=True), start=1):
        for picture, key in zip(gap_layers.pictures, (gap.start, gap.end), strict=True):
            if picture.shape != tuple(keys[key].shape) or not np.array_equal(picture, keys[key].numpy()):
                raise BetwixtError(
                    f"The 'layers' of gap {number} are those of other pictures than key frame {key + 1}.",
                    "Layers fit only the key frames they were found in.",
                    remedy,
                )


def _joined(parts: Sequence[torch.Tensor], published: bool, loop: bool) -> torch.Tensor:
    joined = chain_conditions(parts, published)
    return closed_loop(joined, published) if loop else joined


def _places(plan: Sequence[Gap], published: bool, loop: bool) -> list[np.ndarray]:
    """For each gap, the frame numbers in the joined clip of its frames; -1 = left out there."""
    parts = [
        torch.stack([torch.full((gap.frames,), float(number)), torch.arange(gap.frames).float()], dim=-1)[:, None, None]
        for number, gap in enumerate(plan)
    ]
    joined = _joined(parts, published, loop)[:, 0, 0]
    places = []
    for number, gap in enumerate(plan):
        place = np.full(gap.frames, -1)
        own = np.flatnonzero((joined[:, 0] == number).numpy())
        place[joined[own, 1].long().numpy()] = own
        places.append(place)
    return places


def _tracks(clips: Sequence[InbetweenClip], places, count: int, size: tuple[int, int]) -> dict:
    """Each gap's points, visible while the clip is in that gap, at rest before and after."""
    points, visible = [], []
    for clip, place in zip(clips, places, strict=True):
        kept = np.flatnonzero(place >= 0)
        distance = np.abs(np.arange(count)[:, None] - place[kept][None])
        shown = kept[distance.argmin(axis=1)]
        points.append(clip.tracks[shown])
        visible.append(clip.visible[shown] & (distance.min(axis=1) == 0)[:, None])
    return host_tracks(np.concatenate(points, axis=1), np.concatenate(visible, axis=1), size)


def _flow(layers: Sequence[MotionLayers], places, count: int) -> Flow:
    """The displacement of each gap at the size of the pictures."""
    fields, hidden, pairs = ([], []), [], []
    for gap, place in zip(layers, places, strict=True):
        height, width = gap.pictures[0].shape[:2]
        scale = np.float32([width / gap.size[1], height / gap.size[0]])
        for own, field in zip(fields, gap.displacement, strict=True):
            own.append(torch.from_numpy(cv2.resize(field, (width, height)) * scale))
        hidden.append(torch.from_numpy(cv2.resize(gap.seen[1], (width, height)) < 0.5))
        # the key frame at a joint stands in the gap before it, the first one closes a loop
        begin = place[0] if place[0] >= 0 else pairs[-1][1]
        pairs.append((int(begin), int(max(place[-1], 0))))
    return Flow(*(torch.stack(own) for own in fields), torch.stack(hidden), tuple(pairs))


NODES = [InbetweenWithoutModel]
