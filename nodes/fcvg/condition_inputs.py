"""Timing and path between key frames: their widgets and what these mean."""

from collections.abc import Mapping

import numpy as np
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...fcvg_core.tweening.arcs import PIVOTS
from ...fcvg_core.tweening.coordinate_paths import parse_coordinates
from ...fcvg_core.tweening.drawn_paths import DrawnPath, paths_from_tracks
from ...fcvg_core.tweening.easing import EASING_NAMES, cubic_bezier, named_easing
from ...fcvg_core.tweening.timing import charted_fractions, eased_fractions, held_fractions, published_fractions
from ..host.services.curves import curve_function, curve_option


def _handle(name: str, default: float, tooltip: str) -> io.Float.Input:
    low, high = (0.0, 1.0) if name.startswith("x") else (-2.0, 3.0)
    return io.Float.Input(name, default=default, min=low, max=high, step=0.01, tooltip=tooltip)


def timing_input(default: str = "published") -> io.DynamicCombo.Input:
    """The widget ``timing``; ``default``: the option that stands first."""
    option = io.DynamicCombo.Option
    easing = io.Combo.Input(
        "easing",
        options=list(EASING_NAMES),
        default="sine-in-out",
        tooltip="CSS names (ease...), Penner's families with -in (slow start), -out (slow end), -in-out; back and "
        "elastic overshoot; hold waits and jumps at the last frame.",
    )
    bezier = [
        _handle("x1", 0.25, "Time of the first handle, 0..1."),
        _handle("y1", 0.1, "Way of the first handle; below 0 the motion first goes back."),
        _handle("x2", 0.25, "Time of the second handle, 0..1."),
        _handle("y2", 1.0, "Way of the second handle; above 1 the motion overshoots."),
    ]
    chart = io.String.Input(
        "chart",
        default="1/8, 1/4, 1/2",
        multiline=True,
        tooltip="An animator's timing chart: how far each drawing is on its way, as fractions, decimals or "
        "percentages. One entry per inbetween, or per frame from 0 to 1.",
    )
    options = [
        option("published", []),
        option("even", []),
        option("easing", [easing]),
        option("cubic-bezier", bezier),
        curve_option("curve", "Way over time, drawn by hand; left = first key frame, bottom = its position."),
        option("chart", [chart]),
    ]
    return io.DynamicCombo.Input(
        "timing",
        options=_first(default, options),
        tooltip="When things move. published: constant speed, both key frames stand for two frames, as in FCVG; even: "
        "constant speed without doubled frames; the others shape the speed.",
    )


def _first(key: str, options: list[io.DynamicCombo.Option]) -> list[io.DynamicCombo.Option]:
    """The options with one of them, which is then the default, at the front."""
    return sorted(options, key=lambda option: option.key != key)


def hold_input() -> io.Int.Input:
    """The widget ``hold``."""
    return io.Int.Input(
        "hold",
        default=1,
        min=1,
        max=24,
        tooltip="Frames each drawing stands: 1 = on ones, 2 = on twos, 3 = on threes. The last frame is always the "
        "last key frame.",
    )


def fractions_of(timing: Mapping, frame_count: int, hold: int) -> np.ndarray:
    """The way gone at each frame, float64 (frame_count,), from the values of the widgets."""
    match timing["timing"]:
        case "published":
            fractions = published_fractions(frame_count)
        case "even":
            fractions = eased_fractions(frame_count)
        case "easing":
            fractions = eased_fractions(frame_count, named_easing(timing["easing"]))
        case "cubic-bezier":
            fractions = eased_fractions(frame_count, cubic_bezier(*(timing[name] for name in ("x1", "y1", "x2", "y2"))))
        case "curve":
            fractions = eased_fractions(frame_count, curve_function(timing.get("curve")))
        case _:
            fractions = charted_fractions(frame_count, timing["chart"])
    return held_fractions(fractions, hold)


def path_input(default: str = "straight") -> io.DynamicCombo.Input:
    """The widget ``path``; ``default``: the option that stands first."""
    option = io.DynamicCombo.Option
    drawn = [
        io.Int.Input(
            "radius",
            default=150,
            min=1,
            max=8192,
            tooltip="How far a path reaches, in pixels: a line or person is pulled along fully at distance 0 from the "
            "path's ends and not at all from this distance on.",
        ),
        io.String.Input(
            "coordinates",
            default="",
            multiline=True,
            tooltip="Paths as a coordinate string of a spline editor: a JSON list of {x, y}, or a list of such lists.",
        ),
        io.Tracks.Input("tracks", optional=True, tooltip="Paths as TRACKS, e.g. from 'Generate Video Tracks'."),
    ]
    pivot = io.Combo.Input(
        "pivot",
        options=list(PIVOTS),
        default=PIVOTS[0],
        tooltip="fixed point: things swing about the point that stays in place, like a door or an arm; own centre: the "
        "centre of each thing moves straight while it turns, like a wheel.",
    )
    return io.DynamicCombo.Input(
        "path",
        options=_first(default, [option("straight", []), option("arc", [pivot]), option("drawn", drawn)]),
        tooltip="Where things move. straight: as published; arc: lines that move together turn as one rigid thing "
        "instead of shrinking; drawn: as arc about the own centre, and what starts and ends near a drawn path follows "
        "its bends.",
    )


def paths_of(path: Mapping) -> list[DrawnPath]:
    """The drawn paths given by text and by wire.

    Raises:
        BetwixtError: none given, malformed text or tracks.
    """
    paths = [DrawnPath.sampled(points) for points in parse_coordinates(path.get("coordinates") or "")]
    tracks = path.get("tracks")
    if tracks is not None:
        paths += _paths_from(tracks)
    if not paths:
        raise BetwixtError(
            "The path is 'drawn', but no path is given.",
            "At least one path is needed, as coordinates or tracks seen in two frames or more.",
            "Connect 'tracks', fill in 'coordinates', or set 'path' to 'straight'.",
        )
    return paths


def _paths_from(tracks: Mapping) -> list[DrawnPath]:
    places, seen = tracks["track_path"], tracks.get("track_visibility")
    if places.ndim != 3 or places.shape[-1] != 2:
        raise BetwixtError(
            f"The tracks have the shape {list(places.shape)}.",
            "Tracks are [frames, tracks, 2].",
            "Connect the TRACKS output of a node.",
        )
    return paths_from_tracks(places.float().cpu().numpy(), None if seen is None else seen.cpu().numpy())
