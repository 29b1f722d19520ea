"""GlueStick: SuperPoint, line segments, wireframe, the matcher and the whole pipeline on a pair of pictures."""

import re
import tempfile
from pathlib import Path

import numpy as np
import torch
from betwixt.common.files.weight_files import read_torch_file
from betwixt.fcvg_core.lines.gluestick.assignment import log_double_softmax, mutual_matches, orientation_free_scores
from betwixt.fcvg_core.lines.gluestick.loading import load_gluestick, load_superpoint
from betwixt.fcvg_core.lines.gluestick.matcher import GlueStickMatcher
from betwixt.fcvg_core.lines.gluestick.network import GlueStick, scaled_products
from betwixt.fcvg_core.lines.gluestick.superpoint import SuperPoint, sample_descriptors, suppress_non_maxima
from betwixt.fcvg_core.lines.gluestick.wireframe import Wireframe, build_wireframe
from betwixt.fcvg_core.lines.lsd.detector import lsd
from betwixt.fcvg_core.lines.segments import SCALES, detect_segments

from support.golden import Case, Check, max_error
from support.models import synthetic_weights
from tests.parity.fcvg_conditions import line_interpolation_case

FULL_DEPTH = 18  # layers; log scores reach -2500 there, and tolerances are wider


def superpoint_network(case: Case) -> SuperPoint:
    """The case's SuperPoint, saved as it is published (a plain state dict in torch's old format) and loaded."""
    weights = synthetic_weights.state_dict(case.manifest("superpoint_manifest.json"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "superpoint_v1.pth"
        torch.save(weights, path, _use_new_zipfile_serialization=False)
        return load_superpoint(read_torch_file(str(path))).to(case.device)


def gluestick_network(case: Case) -> GlueStick:
    """The case's matcher with as many layers as it asks for, saved as it is published and loaded."""
    pairs = case.scalar("cfg.gnn_pairs")
    manifest = case.manifest("manifest.json")
    if f"gnn.line_layers.{pairs - 1}.mlp.0.weight" not in manifest:
        manifest = case.manifest("full_manifest.json.gz")
    for prefix, count in (("gnn.layers.", 2 * pairs), ("gnn.line_layers.", pairs)):
        manifest = {
            key: entry
            for key, entry in manifest.items()
            if not key.startswith(prefix) or int(key.removeprefix(prefix).split(".")[0]) < count
        }
    weights = {f"matcher.{key}": value for key, value in synthetic_weights.state_dict(manifest).items()}
    weights["extractor.sp.conv1a.weight"] = torch.zeros(64, 1, 3, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint_GlueStick_MD.tar"
        torch.save({"model": weights, "epoch": 3, "losses": {"total": np.float64(0.5)}, "conf": {"n": 1}}, path)
        return load_gluestick(read_torch_file(str(path))).to(case.device)


def _setting(case: Case, name: str, default):
    return case.scalar(f"cfg.{name}") if f"cfg.{name}" in case else default


def _max_points(case: Case) -> int | None:
    limit = _setting(case, "max_num_keypoints", -1)
    return None if limit < 0 else limit


def _tolerance(network: GlueStick) -> float:
    return 0.02 if len(network.gnn.layers) >= FULL_DEPTH else 1e-4


def superpoint_case(case: Case) -> list[Check]:
    network, image = superpoint_network(case), case["in.image"]
    threshold, radius = _setting(case, "detection_threshold", 0.005), _setting(case, "nms_radius", 4)
    scores, descriptors = network(image)
    points = network.detect(image[0], _max_points(case), threshold, radius)
    stored = case["out.descriptors"][0]
    sampled = sample_descriptors(points.positions, points.descriptors)
    return [
        Check("dense_score", max_error(scores, case["out.dense_score"]), 5e-6),
        Check("nms_score", max_error(suppress_non_maxima(scores, radius), case["out.nms_score"]), 5e-6),
        Check("all_descriptors", max_error(descriptors, case["out.all_descriptors"]), 1e-6),
        Check("keypoints", max_error(points.positions[None], case["out.keypoints"]), 0.0),
        Check("keypoint_scores", max_error(points.scores[None], case["out.keypoint_scores"]), 5e-6),
        Check("descriptors", max_error(sampled[:, : stored.shape[1]], stored), 1e-6),
    ]


def nms_case(case: Case) -> list[Check]:
    radii = [int(key.removeprefix("out.radius")) for key in case.tensors if key.startswith("out.radius")]
    return [
        Check(f"radius {r}", max_error(suppress_non_maxima(case["in.scores"], r), case[f"out.radius{r}"]), 0.0)
        for r in radii
    ]


def sampling_case(case: Case) -> list[Check]:
    sampled = sample_descriptors(case["in.keypoints"][0], case["in.descriptors"][0])
    return [Check("sampled", max_error(sampled[None], case["out.sampled"]), 1e-6)]


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


def _wireframe_checks(case: Case, side: Wireframe, suffix: str = "") -> list[Check]:
    """Against ``out.*<suffix>``; indices exact, the rest to 1e-5. The node-by-node table of lines is not built here."""
    expected = {
        "keypoints": (side.keypoints, 1e-5),
        "keypoint_scores": (side.keypoint_scores, 1e-5),
        "descriptors": (side.descriptors, 1e-5),
        "lines": (side.lines, 1e-5),
        "line_scores": (side.line_scores, 1e-5),
        "lines_junc_idx": (side.line_junctions, 0.0),
    }
    checks = [
        Check(name + suffix, max_error(value[None], case[f"out.{name}{suffix}"]), tolerance)
        for name, (value, tolerance) in expected.items()
        if f"out.{name}{suffix}" in case
    ]
    junctions = torch.tensor([side.line_junctions.max() + 1 if len(side.lines) else 0])
    return [*checks, Check("num_junctions" + suffix, max_error(junctions, case[f"out.num_junctions{suffix}"]), 0.0)]


def wireframe_case(case: Case) -> list[Check]:
    points = superpoint_network(case).detect(case["in.image"][0], _max_points(case))
    return _wireframe_checks(case, build_wireframe(points, case.array("in.lines")[0], case.array("in.line_scores")[0]))


def heads_case(case: Case) -> list[Check]:
    threshold = _setting(case, "filter_threshold", 0.2)
    descriptors = (case["in.jdesc0"][0], case["in.jdesc1"][0])
    similarity = scaled_products(torch.nn.Identity(), descriptors)
    linewise = orientation_free_scores(similarity, case["in.lines_junc_idx0"][0], case["in.lines_junc_idx1"][0])
    checks = [Check("raw_line_scores", max_error(linewise[None], case["out.raw_line_scores"]), 1e-5)]
    for prefix, scores in (("", case["in.raw_scores"][0]), ("line_", linewise)):
        log_scores = log_double_softmax(scores, case[f"in.{prefix}bin_score"])
        matches, probabilities = mutual_matches(log_scores, threshold)
        checks += _assignment_checks(case, prefix, log_scores, matches, probabilities, 1e-5)
    return checks


def _assignment_checks(case, prefix, log_scores, matches, scores, tolerance) -> list[Check]:
    checks = [
        Check(f"{prefix}log_assignment", max_error(log_scores[None], case[f"out.{prefix}log_assignment"]), tolerance)
    ]
    for index in (0, 1):
        name = f"{prefix}matches{index}"
        checks.append(Check(name, max_error(matches[index][None], case[f"out.{name}"]), 0.0))
        name = f"{prefix}match_scores{index}"
        expected = case[f"out.{name}"]
        if log_scores.numel() == 0:  # a picture without points: the reference gives lines as many zeros as points
            expected = expected[:, : len(scores[index])]
        checks.append(Check(name, max_error(scores[index][None], expected), tolerance))
    return checks


def _given_wireframe(case: Case, index: int) -> Wireframe:
    names = ("keypoints", "keypoint_scores", "descriptors", "lines", "line_scores", "lines_junc_idx")
    return Wireframe(*(case[f"in.{name}{index}"][0] for name in names))


def _intermediate_checks(case: Case, network: GlueStick, sides, sizes, tolerance: float) -> list[Check]:
    """Against ``mid.*``: what the encoders and the named layers give, taken while the network runs."""
    modules, slices = {}, {}
    starts = {False: (0, len(sides[0].keypoints)), True: (0, 2 * len(sides[0].lines))}
    ends = {False: (starts[False][1], None), True: (starts[True][1], None)}
    for key in (key for key in case.tensors if key.startswith("mid.")):
        if match := re.fullmatch(r"mid\.(kenc|lenc)(\d)", key):
            modules[key], of_lines, index = getattr(network, match[1]), match[1] == "lenc", int(match[2])
        elif match := re.fullmatch(r"mid\.desc(\d)_after_(self|line|cross)(\d+)", key):
            of_lines, index, number = False, int(match[1]), int(match[3])
            layers = {"self": (network.gnn.layers, 2 * number), "cross": (network.gnn.layers, 2 * number + 1)}
            stack, position = layers.get(match[2], (network.gnn.line_layers, number))
            modules[key] = stack[position]
        elif match := re.fullmatch(r"mid\.desc(\d)_final", key):
            modules[key], of_lines, index = network.gnn, False, int(match[1])
        else:
            raise LookupError(f"unknown intermediate '{key}'")
        slices[key] = slice(starts[of_lines][index], ends[of_lines][index])
    outputs = {}
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, key=key: outputs.update({key: output}))
        for key, module in modules.items()
    ]
    network.describe(sides, sizes)
    for hook in hooks:
        hook.remove()
    return [Check(key, max_error(outputs[key][:, slices[key]][None], case[key]), tolerance) for key in modules]


def matcher_case(case: Case) -> list[Check]:
    network = gluestick_network(case)
    sides = (_given_wireframe(case, 0), _given_wireframe(case, 1))
    sizes = tuple(tuple(case[f"in.image_size{index}"][0].tolist()) for index in (0, 1))
    checks = _intermediate_checks(case, network, sides, sizes, _tolerance(network))
    return checks + _matching_checks(case, network, sides, sizes, _setting(case, "filter_threshold", 0.2))


def _matching_checks(case, network, sides, sizes, threshold) -> list[Check]:
    checks, tolerance = [], _tolerance(network)
    for prefix, found in zip(("", "line_"), network(*sides, sizes, threshold), strict=True):
        checks += _assignment_checks(case, prefix, found.log_scores, found.matches, found.scores, tolerance)
    if "out.raw_line_scores" in case and case["out.raw_line_scores"].numel():
        raw = network.compare_lines(sides, network.describe(sides, sizes))
        checks.append(Check("raw_line_scores", max_error(raw[None], case["out.raw_line_scores"]), tolerance))
    return checks


def pair_case(case: Case) -> list[Check]:
    """From two pictures to matched lines, with the exact line segment detector."""
    matcher = GlueStickMatcher(
        superpoint_network(case),
        gluestick_network(case),
        resident=lambda memory: torch.device(case.device),
        detector="exact",
        max_lines=_setting(case, "max_n_lines", 300),
        max_points=_max_points(case) or case["in.gray0"].numel(),
        threshold=_setting(case, "filter_threshold", 0.2),
    )
    checks, sides, pictures = [], [], [case.array("in.gray0"), case.array("in.gray1")]
    for index, picture in enumerate(pictures):
        segments, scores = detect_segments(picture, matcher.max_lines, method="exact")
        checks.append(Check(f"orig_lines{index}", max_error(segments[None], case[f"out.orig_lines{index}"]), 0.0))
        sides.append(matcher.wireframe(picture, segments, scores, torch.device(case.device)))
        checks += _wireframe_checks(case, sides[-1], str(index))
    sizes = tuple(picture.shape[::-1] for picture in pictures)
    checks += _matching_checks(case, matcher.gluestick, sides, sizes, matcher.threshold)
    if pictures[0].shape == pictures[1].shape:
        matches = matcher.match(*(np.repeat(picture[..., None], 3, axis=2) for picture in pictures))
        scores = case["out.line_match_scores0"][0][case["out.line_matches0"][0] >= 0]
        best_first = torch.argsort(scores, descending=True, stable=True)
        for name, found in (("matched_lines0", matches.start), ("matched_lines1", matches.end)):
            checks.append(Check(name, max_error(found.copy(), case[f"out.{name}"][best_first]), 1e-5))
    return checks


KINDS = {
    "superpoint_": superpoint_case,
    "nms_": nms_case,
    "sample_descriptors_": sampling_case,
    "lsd_": line_segments,
    "wireframe_": wireframe_case,
    "assignment_heads": heads_case,
    "gnn_": matcher_case,
    "pair_": pair_case,
    "fcvg_line_interpolation_": line_interpolation_case,
}
