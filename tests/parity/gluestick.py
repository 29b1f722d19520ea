"""GlueStick: line segments."""

from betwixt.fcvg_core.line_segments import SCALES, detect_segments
from betwixt.fcvg_core.lsd import lsd

from tests.parity.case import Case, Check, max_error


def line_segments(case: Case) -> list[Check]:
    """Raw segments at every stored scale and the selections of every stored number; exact."""
    image = case.array("in.image")
    checks = []
    for scale in SCALES:
        name = f"out.segments_scale{round(10 * scale):02d}"
        if name in case:
            checks.append(Check(name, max_error(lsd(image, scale), case[name]), 0.0))
    for name in sorted(case.tensors):
        if name.startswith("out.lines_max"):
            number = name.removeprefix("out.lines_max")
            segments, scores = detect_segments(image, int(number))
            checks.append(Check(name, max_error(segments[None], case[name]), 0.0))
            name = f"out.line_scores_max{number}"
            checks.append(Check(name, max_error(scores[None], case[name]), 0.0))
    return checks


KINDS = {"lsd_": line_segments}
