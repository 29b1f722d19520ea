"""What the host is told about memory: at least the peak of the activations, counted on the meta device at full size,
and at most a quarter more."""

import importlib

import pytest
import torch
from betwixt.common.memory_model import FRAMES_AT_ONCE, SD15_FACTOR, SD15_FEATURES, kept_map_bytes, most_at_once

PARTS = (
    *("FCVG 25x1024x576, both halves of guidance", "FCVG 25x1024x576, one half", "FCVG 14x512x320, both halves"),
    *("GI 25x1024x576, attention maps kept", "ControlNeXt, 5 conditions of 1024x576"),
    *(f"ToonCrafter 16x{size}, both halves" for size in ("512x320", "1024x576")),
    *("ToonCrafter 16x512x320, one half", "ToonCrafter encode, 2 key frames of 512x320"),
    "ToonCrafter decode 16x512x320, 1 frame at a time",
    *(f"ToonCrafter decode 16x512x320, {count} at a time" for count in (3, 6)),
    *("SVD decode, 8 frames of 1024x576", "SVD decode, 25 frames of 1024x576"),
    "SVD decode, 8 frames of 1024x576, 1 at a time",
    *(f"SVD decode, 25 frames of 1024x576, {count} at a time" for count in (1, 4)),
    *("Rerender step 512x512, both halves", "Rerender step 768x512, both halves"),
    "Rerender step 768x512 beside the features of 20 steps",
    *("GMFlow, 1 pair of 768x512", "GMFlow, 4 pairs of 768x512", "GMFlow, 1 pair of 1920x1088"),
    *("RAFT, 1 pair of 768x512", "RAFT, 4 pairs of 768x512", "RAFT, 2 pairs of 256x256", "RAFT, 1 pair of 1920x1080"),
    "SuperPoint 768x512",
)


@pytest.fixture
def memory(host):
    return importlib.import_module("support.told_memory")


@pytest.mark.parametrize("part", PARTS)
def test_the_host_is_told_the_peak_and_little_more(memory, part):
    told, counted = memory.told_and_counted(part)
    assert 1.0 <= told / counted <= 1.25, f"told {told / 2**30:.2f} GiB, counted {counted / 2**30:.2f} GiB"
    for _, weights, card in (row for row in memory.CARDS if row[0] == part):
        assert weights + counted <= card


def test_every_part_is_here(memory):
    assert sorted(PARTS) == sorted(memory.PARTS)
    assert {part for part, *_ in memory.CARDS} <= set(PARTS)


def test_attention_maps_of_another_size(memory):
    from betwixt.nodes.host.svd.temporal_attention import kept_bytes

    model = memory.full_size.svd().diffusion_model
    assert kept_bytes(model, [25, 4, 64, 128], 2) == kept_map_bytes(25, 512, 1024)


def test_what_cross_frame_attention_reads(memory):
    read = []
    with memory.as_on_a_card():
        memory.key_frame_step((64, 64), read)[1]()
        assert sum(read) == SD15_FEATURES * 64 * 64
        assert memory.full_size.sd15().model_config.memory_usage_factor == SD15_FACTOR


@pytest.mark.parametrize(
    "query, said",
    [
        (torch.empty(1, 1, 128, 64, device="meta").transpose(2, 3), "neighbours"),
        (torch.empty(1, 1, 64, 12, device="meta", dtype=torch.float16), "multiple of 8"),
        (torch.empty(1, 64, 128, device="meta"), "batch"),
        (torch.empty(70_000, 1, 4, 8, device="meta"), "65535"),
        (torch.empty(1, 1, 4, 8, device="meta", dtype=torch.float64), "float64"),
    ],
)
def test_what_fused_attention_refuses(query, said):
    from support.counted_memory import FusedAttention

    with pytest.raises(AssertionError, match=said), FusedAttention():
        torch.nn.functional.scaled_dot_product_attention(query, query, query)


@pytest.mark.parametrize("mask", [torch.empty(1, 4, 4), torch.empty(4, 4, dtype=torch.float16), torch.empty(4, 4).T])
def test_masks_that_fused_attention_refuses(mask):
    from support.counted_memory import FusedAttention

    query = torch.empty(1, 1, 4, 8)
    with pytest.raises(AssertionError, match="a mask"), FusedAttention():
        torch.nn.functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)


def test_sixteen_frames_are_never_decoded_at_once():
    assert most_at_once(16, 512 * 320) == 3 and most_at_once(25, 1024 * 576) == 1
    assert {most_at_once(16, 64 * 64 * side**2) for side in range(1, 20)} == {FRAMES_AT_ONCE, 5, 3, 2, 1}
