"""EbSynth: the exact pieces of patch synthesis, its statistical acceptance, guides and blending (colour order BGR)."""

import json
import math
from collections.abc import Sequence

import torch
from betwixt.common.compiled_kernels import numba_available
from betwixt.rerender_core.ebsynth.synthesis.occupancy import covered
from betwixt.rerender_core.ebsynth.synthesis.packed_guides import PackedGuides, SourceGuides, is_grey
from betwixt.rerender_core.ebsynth.synthesis.patch_error import patch_error
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions, SynthesisProblem
from betwixt.rerender_core.ebsynth.synthesis.pyramid import level_count, level_size, resample, upscale_nnf
from betwixt.rerender_core.ebsynth.synthesis.search_level import Solution
from betwixt.rerender_core.ebsynth.synthesis.solver import synthesise
from betwixt.rerender_core.ebsynth.synthesis.voting import changed, vote

from support.golden import Case, Check, max_error
from support.truth.synthesis_energy import at_matches, energy, match_count, occupancy, psnr
from tests.parity.ebsynth_blend import BLEND_KINDS

ERROR_TOLERANCE = 3e-6  # relative


def numbers_after(case: Case, prefix: str) -> list[int]:
    """The patch sizes, thresholds or levels of the tensors ``prefix<number>``."""
    ends = [name[len(prefix) :] for name in case.tensors if name.startswith(prefix)]
    return sorted(int(end) for end in ends if end.isdigit())


def batch(case: Case, key: str) -> torch.Tensor:
    return case[key][None]


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((actual.double() - expected) / expected.double().clamp(min=1e-9)).abs().max())


def few_differ(name: str, actual: torch.Tensor, expected: torch.Tensor, share: float) -> list[Check]:
    return [
        Check(name, max_error(actual.int(), expected.int()), 1),
        Check(f"{name}, share differing", float((actual != expected).float().mean()), share),
    ]


def errors(case: Case) -> list[Check]:
    source = torch.cat([batch(case, "style_source"), batch(case, "guide_source")], dim=-1)
    target = torch.cat([batch(case, "style_target"), batch(case, "guide_target")], dim=-1)
    weights = torch.cat([case["style_weights"], case["guide_weights"]])
    checks = []
    for patch in numbers_after(case, "error_p"):
        actual = patch_error(source, target, weights, batch(case, f"nnf_p{patch}"), patch)
        checks.append(Check(f"error p{patch}", relative(actual[0], case[f"error_p{patch}"]), ERROR_TOLERANCE))
    modulation = torch.cat([torch.full_like(batch(case, "style_target"), 255), batch(case, "modulation")], dim=-1)
    for patch in numbers_after(case, "error_mod_p"):
        actual = patch_error(source, target, weights, batch(case, f"nnf_p{patch}"), patch, modulation)
        checks.append(Check(f"modulated p{patch}", relative(actual[0], case[f"error_mod_p{patch}"]), ERROR_TOLERANCE))
    return checks


def votes(case: Case) -> list[Check]:
    checks = []
    for border in ("", "border_"):
        for patch in numbers_after(case, f"nnf_{border}p"):
            nnf, error = batch(case, f"nnf_{border}p{patch}"), batch(case, f"error_p{patch}")
            for voting, key in (("plain", "plain_skip"), ("clamped", "plain_clamp"), ("weighted", "weighted_clamp")):
                name = f"{key}_{border}p{patch}"
                actual = vote(batch(case, "source"), nnf, patch, voting, error)[0]
                if voting == "weighted":
                    checks += few_differ(name, actual, case[name], 2e-3)
                else:
                    checks.append(Check(name, max_error(actual, case[name]), 0))
    return checks


def occupancies(case: Case) -> list[Check]:
    size = tuple(case["source_hw"].tolist())
    checks = []
    for patch in numbers_after(case, "nnf_p"):
        nnf = batch(case, f"nnf_p{patch}")
        omega = covered(match_count(nnf, size), patch)
        patch_omega = at_matches(covered(omega, patch), nnf)
        occupied = at_matches(occupancy(nnf, size, patch), nnf)
        checks += [
            Check(f"omega p{patch}", max_error(omega[0], case[f"omega_p{patch}"]), 0),
            Check(f"patch omega p{patch}", max_error(patch_omega[0], case[f"patch_omega_p{patch}"]), 0),
            Check(f"occupancy p{patch}", relative(occupied[0], case[f"occ_p{patch}"]), 1e-6),
        ]
    return checks


def pyramid(case: Case) -> list[Check]:
    image = batch(case, "image")
    size, checks = tuple(image.shape[1:3]), []
    for name in sorted(key for key in case.tensors if key.startswith("levels")):
        levels, level = (int(part) for part in name.removeprefix("levels").split("_l"))
        actual = resample(image, level_size(size, level, levels))[0]
        checks += few_differ(name, actual, case[name], 5e-3)
    for name in sorted(key for key in case.tensors if key.startswith("nnf_l") and "_p" in key):
        level, patch = (int(part) for part in name.removeprefix("nnf_l").split("_p"))
        coarser = f"nnf_l{level - 1}" if level == 1 else f"nnf_l{level - 1}_p{patch}"
        finer = tuple(case[name].shape[:2])
        checks.append(Check(name, max_error(upscale_nnf(batch(case, coarser), finer, finer, patch)[0], case[name]), 0))
    for row in case["level_count_rows_sh_sw_th_tw_patch_n"].tolist():
        levels = level_count(tuple(row[:2]), tuple(row[2:4]), row[4])
        checks.append(Check(f"levels of {row[:5]}", abs(levels - row[5]), 0))
    return checks


def stop_mask(case: Case) -> list[Check]:
    pictures = batch(case, "previous"), batch(case, "current")
    checks = []
    for name in sorted(key for key in case.tensors if key.startswith(("mask_t", "dilated_t"))):
        threshold, _, patch = name.partition("_t")[2].partition("_p")
        actual = changed(*pictures, int(threshold), int(patch or 1))[0]
        checks.append(Check(name, max_error(actual.int() * 255, case[name].int()), 0))
    return checks


def packed_guides(case: Case) -> PackedGuides:
    """The numbered guides, packed; a grey one without a channel axis gets three equal channels."""
    keys = sorted(
        key.removesuffix("_source") for key in case.tensors if key.startswith("g") and key.endswith("_source")
    )
    weights = case["weights"].tolist()
    assert len(keys) == len(weights)

    def rgb(key: str) -> torch.Tensor:
        picture = batch(case, key)
        picture = picture[..., None] if picture.ndim == 3 else picture
        return picture.expand(*picture.shape[:3], 3) if picture.shape[-1] == 1 else picture

    sources = SourceGuides([rgb(f"{key}_source") for key in keys], [weights[int(key.strip("guide"))] for key in keys])
    return sources.packed_with([rgb(f"{key}_target") for key in keys])


def packing(case: Case) -> list[Check]:
    source, target, weights, _ = packed_guides(case)
    return [
        Check("source", max_error(source[0], case["packed_source"]), 0),
        Check("target", max_error(target[0], case["packed_target"]), 0),
        Check("weights", max_error(weights, case["packed_weights"]), 0),
    ]


def statistics(case: Case, device=None, engines: Sequence[str] = ()) -> list[Check]:
    """One run of each engine (default: all there are) on a device (default: the case's); energy and picture quality
    against the limits from the reference's spread over seeds."""
    entry = json.loads(case.beside("stats.json").read_text())[case.name]
    settings, limits = entry["params"], entry["limits"]
    style = batch(case, "style")
    style = style[..., None] if style.ndim == 3 else style
    style = style[..., :1] if is_grey(style) else style
    source, target, weights, _ = packed_guides(case)
    style, source, target = (value.cpu() for value in (style, source, target))
    device, channels = device or case.device, style.shape[-1]
    style_weights = torch.full((channels,), settings.get("style_weight", 1.0) / channels)
    problem = SynthesisProblem(style, source, target, weights, style_weights)
    placed = SynthesisProblem(*(value.to(device) for value in (style, source, target)), weights, style_weights)
    options = SynthesisOptions(
        patch=settings["patch"],
        uniformity=settings["uniformity"],
        levels=settings.get("levels"),
        vote_iterations=settings["sv"],
        match_iterations=settings["pm"],
        extra_pass=bool(settings["extra"]),
        seed=1,
    )
    checks = []
    for engine in engines or (("torch", "numba") if numba_available() and device == "cpu" else ("torch",)):
        result = Solution(*(value.cpu() for value in synthesise(placed, options, engine)))
        checks.append(Check(f"total, {engine}", energy(problem, options, result).total, limits["total_max"]))
        if not math.isnan(limits.get("psnr_min") or math.nan):
            truth = batch(case, "truth")[..., :channels]
            shortfall = max(limits["psnr_min"] - psnr(result.image, truth.cpu()), 0.0)
            checks.append(Check(f"PSNR below the limit, {engine}", shortfall, 0))
    return checks


KINDS = {
    **BLEND_KINDS,
    "det_ssd": errors,
    "det_vote": votes,
    "det_omega": occupancies,
    "det_pyramid": pyramid,
    "det_mask": stop_mask,
    "det_pack": packing,
    "stat_": statistics,
}
AUXILIARY = ("pipe_inputs",)
