"""Golden cases ``blend_*`` and ``guides`` of the folder ``ebsynth`` (colour order BGR)."""

import numpy as np
from betwixt.rerender_core.ebsynth.blending.histogram_blend import histogram_blend
from betwixt.rerender_core.ebsynth.blending.screened_poisson import poisson_blend, poisson_blend_lab
from betwixt.rerender_core.ebsynth.blending.selection import select, selection_masks, weights_of
from betwixt.rerender_core.ebsynth.guides import carried, edge_guide, filled, position_guide

from support.golden import Case, Check, max_error


def rgb(case: Case, key: str) -> np.ndarray:
    return np.ascontiguousarray(case.array(key)[..., ::-1])


def differing(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean(actual != expected))


def histogram_case(case: Case) -> list[Check]:
    left, right, selected = (rgb(case, key) for key in ("a", "b", "min_error"))
    mask = case.array("mask") > 0
    checks = [Check("selection", max_error(select(left, right, mask), selected), 0)]
    for key in sorted(name for name in case.tensors if name.startswith("w")):
        weight_left, weight = case.array(key).tolist()
        assert abs(weight_left + weight - 1) < 1e-6
        actual = histogram_blend(left, right, selected, weight)
        checks.append(Check(f"weights {key}", max_error(actual, rgb(case, key.replace("w", "out"))), 0))
    return checks


def poisson_checks(actual: np.ndarray, expected: np.ndarray, name: str) -> list[Check]:
    return [
        Check(f"{name}, levels", max_error(actual, expected), 4),
        Check(f"{name}, share differing", differing(actual, expected), 5e-3),
    ]


def poisson_case(case: Case) -> list[Check]:
    pictures = [rgb(case, key) for key in ("blend", "a", "b")]
    mask = case.array("mask") > 0
    exact = max_error(poisson_blend_lab(*pictures, mask), case["out_lab_exact"])
    return [
        Check("exact solution", exact, 2e-3),
        *poisson_checks(poisson_blend(*pictures, mask), rgb(case, "out"), "out"),
    ]


def sequence_case(case: Case) -> list[Check]:
    left, right = rgb(case, "out_forward"), rgb(case, "out_backward")
    errors = case.array("error_forward"), case.array("error_backward")
    flows = case.array("flow_forward").transpose(0, 2, 3, 1)
    weights = weights_of(len(left), published=True)
    published = np.stack([*selection_masks(*errors, flows, weights, mirrored_errors=True)])
    aligned = np.stack([*selection_masks(*errors, flows, weights)])
    checks = [
        Check("mask, published", max_error(published, case["mask_reference"]), 0),
        Check("mask, aligned", max_error(aligned, case["mask_aligned"]), 0),
    ]
    for index, weight in enumerate(weights):
        a, b, mask = left[index], right[index], published[index]
        blend = histogram_blend(a, b, select(a, b, mask), weight)
        checks.append(Check(f"mix {index}", max_error(blend, rgb(case, "hist_reference")[index]), 0))
        final = poisson_blend(blend, a, b, mask, solver="lsqr")
        checks += poisson_checks(final, rgb(case, "poisson_reference")[index], f"poisson {index}")
    return checks


def guides_case(case: Case) -> list[Check]:
    frames, style = rgb(case, "frames"), rgb(case, "style")
    flows = case.array("flow").transpose(0, 2, 3, 1)
    checks = [
        Check(f"edge {index}", max_error(edge_guide(frame), rgb(case, "edge")[index]), 0)
        for index, frame in enumerate(frames)
    ]
    first = position_guide(*frames.shape[1:3])
    checks.append(Check("position, first", max_error(first, rgb(case, "pos_first")), 0))
    for number, flow in enumerate(flows, 1):
        before = first if number == 1 else rgb(case, f"pos_inpaint{number - 1}")
        moved = carried(before, flow)
        if f"pos_warp{number}" in case:
            checks.append(Check(f"position {number}", max_error(moved, rgb(case, f"pos_warp{number}")), 0))
        if f"pos_inpaint{number}" not in case:
            break
    checks.append(Check("temporal 1", max_error(carried(style, flows[0]), rgb(case, "temporal_warp1")), 0))
    filled_in = filled(carried(style, flows[0]), case.array("occlusion")[0] > 0, radius=30)
    checks.append(
        Check("in-fill, mean level", float(np.abs(filled_in - rgb(case, "temporal_inpaint1").astype(float)).mean()), 1)
    )
    return checks


BLEND_KINDS = {
    "blend_hist": histogram_case,
    "blend_poisson": poisson_case,
    "blend_sequence": sequence_case,
    "guides": guides_case,
}
