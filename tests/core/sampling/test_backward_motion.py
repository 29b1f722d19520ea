import pytest
import torch
import torch.nn.functional as F
from betwixt.common.errors import BetwixtError
from betwixt.fcvg_core.sampling.backward_motion import (
    PARTS,
    BackwardMotionDelta,
    attend,
    attention_map,
    delta_weights,
    rotated,
)

from support.golden import STORED
from support.models import synthetic_weights

MANIFEST = synthetic_weights.load_manifest(STORED / "fcvg" / "full_manifest.json.gz")
FINE_TUNED = [
    key
    for key in MANIFEST
    if "temporal_transformer_blocks.0.attn1.to_v." in key or "temporal_transformer_blocks.0.attn1.to_out." in key
]


def projections(seed=0):
    """GI's 48 tensors, 8 wide, in diffusers names."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {key: [8] * len(MANIFEST[key]["shape"]) for key in FINE_TUNED}
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def test_attention_by_its_map_is_attention():
    q, k, v = (torch.randn(3, 7, 4 * 16) for _ in range(3))
    heads = [x.view(3, 7, 4, 16).transpose(1, 2) for x in (q, k, v)]
    expected = F.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(3, 7, 64)
    assert (attend(attention_map(q, k, 4), v) - expected).abs().max() < 1e-5


def test_the_rotated_map_is_attention_of_the_reversed_clip():
    q, k = torch.randn(2, 6, 32), torch.randn(2, 6, 32)
    of_reversed = attention_map(q.flip(1), k.flip(1), 2)
    assert (rotated(attention_map(q, k, 2)) - of_reversed).abs().max() < 1e-6


def test_there_are_48_fine_tuned_tensors_and_only_differences_count():
    assert len(FINE_TUNED) == 48
    tuned, base = projections(0), projections(1)
    whole = {**base, "conv_in.weight": torch.zeros(1), **{f"{key}.other": torch.zeros(1) for key in FINE_TUNED}}
    deltas = delta_weights(tuned, whole, "tuned")
    assert len(deltas) == 16 and all(set(parts) == set(PARTS) for parts in deltas.values())
    key = "up_blocks.1.attentions.0.temporal_transformer_blocks.0.attn1.to_v.weight"
    assert torch.equal(deltas["output_blocks.3.1.time_stack.0.attn1"]["to_v.weight"], tuned[key] - base[key])


def test_layers_add_the_differences():
    deltas = delta_weights(projections(), None, "delta")
    network = BackwardMotionDelta(deltas, dtype=torch.float32)
    x = torch.randn(2, 5, 8)
    for block, layer in (
        (("input", 4), "input_blocks.4.1"),
        (("middle", 0), "middle_block.1"),
        (("output", 11), "output_blocks.11.1"),
    ):
        parts = deltas[f"{layer}.time_stack.0.attn1"]
        assert torch.equal(network.value(block, x), F.linear(x, parts["to_v.weight"]))
        assert torch.equal(network.output(block, x), F.linear(x, parts["to_out.0.weight"], parts["to_out.0.bias"]))


def test_files_that_cannot_be_meant():
    incomplete = dict(list(projections().items())[:-1])
    with pytest.raises(BetwixtError, match="holds 47 of GI's 48"):
        delta_weights(incomplete, None, "x")
    whole = {**projections(), "conv_in.weight": torch.zeros(1), "temporal_res_block.": torch.zeros(1)}
    with pytest.raises(BetwixtError, match="whole UNet, not the difference"):
        delta_weights(whole, None, "x")
    with pytest.raises(BetwixtError, match="other temporal self-attentions"):
        delta_weights(projections(), {"conv_in.weight": torch.zeros(1)}, "x")
