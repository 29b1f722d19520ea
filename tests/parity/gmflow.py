"""Golden cases of the folder ``gmflow``: the network, its windows, warping and occlusion."""

import tempfile
from pathlib import Path

import torch
from betwixt.rerender_core.flow.loading import load_gmflow
from betwixt.rerender_core.flow.swin_windows import shift_mask, sine_position
from betwixt.rerender_core.flow.warping import latent_flow, occlusion, warp

from support.golden import Case, Check, max_error
from support.models import synthetic_weights


def network(case: Case):
    """The network with synthetic weights, in the published layout and through the pack's loader."""
    state_dict = synthetic_weights.state_dict(case.manifest("full_manifest.json.gz"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gmflow.pth"
        torch.save({"model": state_dict}, path)
        return load_gmflow(torch.load(path, weights_only=True)).eval().to(case.device)


def differing(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual.cpu().bool() != expected.cpu().bool()).double().mean())


def flow_case(case: Case) -> list[Check]:
    model = network(case)
    first, second = (case[name][None].float() for name in ("image0", "image1"))
    forward, backward = model(first, second)
    checks = [
        Check("forward flow", max_error(forward, case["out.forward_flow"]), 1e-2),
        Check("backward flow", max_error(backward, case["out.backward_flow"]), 1e-2),
        Check("forward occlusion share", differing(occlusion(forward, backward), case["out.forward_occlusion"]), 5e-3),
        Check(
            "backward occlusion share", differing(occlusion(backward, forward), case["out.backward_occlusion"]), 5e-3
        ),
    ]
    if "result_to_warp" in case:
        warped = warp(case["result_to_warp"], backward)
        checks.append(Check("warped result", max_error(warped, case["out.warped_result"]), 5e-3))
    return checks


def features_case(case: Case) -> list[Check]:
    model = network(case)
    features = model.features(*(case[name][None].float() for name in ("image0", "image1")))
    checks = [Check("backbone", max_error(features, case["out.backbone"]), 5e-4)]
    size = features.shape[-2:]
    features = features + sine_position(size[0] // 2, size[1] // 2).repeat(1, 1, 2, 2)
    checks.append(Check("position added", max_error(features[:1], case["out.pos_added0"]), 5e-4))
    tokens, mask = features.flatten(2).transpose(1, 2), shift_mask(size)[None]
    for number, block in enumerate(model.transformer.layers[:2]):
        tokens = block(tokens, size, mask if number % 2 else None)
        checks.append(Check(f"block {number}", max_error(tokens[:1], case[f"out.layer{number}_tokens"]), 5e-4))
    features = model.transformer(features)
    expected = torch.cat([case["out.transformer0"], case["out.transformer1"]])
    checks.append(Check("transformer", max_error(features, expected), 5e-4))
    flow = model.match(features)
    checks.append(Check("matching", max_error(flow, case["out.flow_match"]), 2e-3))
    flow = model.feature_flow_attn(features, flow)
    checks.append(Check("propagation", max_error(flow, case["out.flow_propagated"]), 2e-3))
    return checks + flow_case(case)


def warp_case(case: Case) -> list[Check]:
    forward, backward, latent = case["forward_flow"], case["backward_flow"], case["latent"]
    small = latent_flow(backward)
    return [
        Check("forward occlusion", differing(occlusion(forward, backward), case["out.forward_occlusion"]), 0),
        Check("backward occlusion", differing(occlusion(backward, forward), case["out.backward_occlusion"]), 0),
        Check("bilinear warp", max_error(warp(case["image"], backward), case["out.warp_bilinear"]), 1e-5),
        Check("latent flow", max_error(small, case["out.latent_flow"]), 1e-5),
        Check("latent, bilinear", max_error(warp(latent, small), case["out.latent_warp_bilinear"]), 1e-5),
        Check("latent, nearest", max_error(warp(latent, small, "nearest"), case["out.latent_warp_nearest"]), 1e-5),
    ]


def window_case(case: Case) -> list[Check]:
    checks = []
    for key, expected in case.tensors.items():
        kind, size = key.removeprefix("out.").split("_")
        height, width = map(int, size.split("x"))
        made = shift_mask((height, width), case.device) if kind == "mask" else None
        actual = sine_position(height, width, case.device) if made is None else made
        checks.append(Check(key, max_error(actual, expected), 1e-5))
    return checks


KINDS = {
    "flow_": flow_case,
    "flow_features_": features_case,
    "occlusion_warp_": warp_case,
    "window_mask_and_position": window_case,
}
