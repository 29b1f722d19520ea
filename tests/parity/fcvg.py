"""Parity of FCVG: condition pictures, networks, samplers, key-frame preprocessing."""

import torch
from betwixt.fcvg_core.sampling.image_conditioning import clip_picture, fit

from support.golden import Case, Check, max_error
from tests.parity import fcvg_conditions, fcvg_networks, fcvg_toy

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def preproc_case(case: Case) -> list[Check]:
    checks = []
    for i, (*_, width, height) in enumerate(case.parameters["crop_and_resize"]):
        fitted = fit(case.png(f"crop_in_{i:02d}.png"), width, height)
        checks.append(Check(f"crop_out_{i:02d}", max_error(fitted, case.png(f"crop_out_{i:02d}.png")), 0))
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (CLIP_MEAN, CLIP_STD))
    for key in sorted(key for key in case.tensors if key.startswith("clip_pixels_stride4_")):
        index = key.rpartition("_")[2]
        picture = torch.from_numpy(case.png(f"clip_in_{index}.png")).float() / 255
        pixels = (clip_picture(picture[None])[0].movedim(-1, 0) - mean) / std
        checks.append(Check(key, max_error(pixels[:, ::4, ::4], case[key]), 1e-4))
    return checks


HOSTED = ("loop_", "sigmas")  # kinds whose tensors the host brings to its device, as it does for nodes
KINDS = {
    **fcvg_conditions.LINE_KINDS,
    **fcvg_conditions.POSE_KINDS,
    **fcvg_toy.KINDS,
    **fcvg_networks.KINDS,
    "preproc_": preproc_case,
}
