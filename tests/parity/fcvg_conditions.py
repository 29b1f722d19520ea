"""Parity of the condition pictures: palette, motion and drawing of lines and poses, fusion."""

import numpy as np
from betwixt.fcvg_core.lines.drawing import draw_segments
from betwixt.fcvg_core.lines.palette import husl_palette, line_colours
from betwixt.fcvg_core.poses.drawing import draw_poses
from betwixt.fcvg_core.tweening.condition_frames import fuse_conditions
from betwixt.fcvg_core.tweening.line_interpolation import interpolate_segments
from betwixt.fcvg_core.tweening.pose_interpolation import interpolate_poses
from betwixt.fcvg_core.tweening.timing import published_fractions

from support.golden import Case, Check, max_error
from tests.parity import pose_dicts


def _numbered(case: Case, prefix: str) -> dict[str, int]:
    """The case's tensor names that begin with ``prefix``, with the number that follows it."""
    names = (key for key in case.tensors if key.startswith(prefix))
    return {key: int(key[len(prefix) :].split(".")[0]) for key in names}


def palette_case(case: Case) -> list[Check]:
    floats = [
        Check(key, max_error(husl_palette(count), case[key]), 1e-9) for key, count in _numbered(case, "rgb_").items()
    ]
    eight_bit = [
        Check(key, max_error((255 * husl_palette(count)).astype(np.uint8), case[key]), 0)
        for key, count in _numbered(case, "rgb8_").items()
    ]
    return floats + eight_bit


def lines_case(case: Case) -> list[Check]:
    """``colors`` are the palette's triples as drawn in BGR: reversed, they are the picture's RGB."""
    height, width, thickness = (case.parameters[key] for key in ("height", "width", "thickness"))
    segments = interpolate_segments(
        case.array("lines0"), case.array("lines1"), published_fractions(case.parameters["interp_frames"] + 2)
    )
    colours = line_colours(segments.shape[1], case.parameters["shuffle_seed"])
    checks = [
        Check("colors", max_error(colours[:, ::-1].copy(), case["colors"]), 0),
        Check("lines_per_frame", max_error(segments, case["lines_per_frame"]), 1e-4),
    ]
    drawn = case.array("colors")[:, ::-1]
    for key, index in _numbered(case, "frame_").items():
        picture = draw_segments(segments[index], drawn, height, width, thickness)
        checks.append(Check(key, max_error(picture, case.png(key)), 0))
    return checks


def line_interpolation_case(case: Case) -> list[Check]:
    """``golden/gluestick``'s ``fcvg_line_interpolation_*``."""
    fractions = published_fractions(case.scalar("cfg.interp_frames") + 2)
    segments = interpolate_segments(case.array("in.lines0"), case.array("in.lines1"), fractions)
    colours = case.array("in.draw_colors").astype(np.uint8)[:, ::-1]
    expected = case.array("out.rgb_frames")
    height, width = expected.shape[1:3]
    thickness = case.scalar("cfg.thickness")
    pictures = [
        draw_segments(segments[index], colours, height, width, thickness)
        for index in case.array("out.frame_indices").tolist()
    ]
    return [
        Check("out.lines_all", max_error(segments, case["out.lines_all"]), 1e-5),
        Check("out.rgb_frames", max_error(np.stack(pictures), expected), 0),
        *(
            Check(key, max_error(husl_palette(count), case[key]), 1e-6)
            for key, count in _numbered(case, "out.husl_palette_").items()
        ),
    ]


def poses_case(case: Case) -> list[Check]:
    """Poses drawn alone (``frame_*``) and, where the case has lines, over them (``fused_*``)."""
    size, count = (case.parameters["height"], case.parameters["width"]), case.parameters["interp_frames"]
    first, last = (pose_dicts.pose_of(case, f"{side}_", size, pose_dicts.FCVG_BODY) for side in "ab")
    fractions = published_fractions(count + 2)
    between = interpolate_poses(first, last, fractions[1:-1], published_hands=True)
    pictures = draw_poses([first, *between, last], *size)
    checks = [
        Check(key, max_error(pictures[index], case.png(key)), 0) for key, index in _numbered(case, "frame_").items()
    ]
    fused = _numbered(case, "fused_")
    if fused:
        segments = interpolate_segments(case.array("lines0"), case.array("lines1"), fractions)
        colours = case.array("colors")[:, ::-1]
    for key, index in fused.items():
        lines = draw_segments(segments[index], colours, *size, case.parameters.get("thickness", 1))
        checks.append(Check(key, max_error(fuse_conditions(lines, pictures[index]), case.png(key)), 0))
    return checks


LINE_KINDS = {"cond_lines_": lines_case, "palette": palette_case}
POSE_KINDS = {"cond_pose_": poses_case}
