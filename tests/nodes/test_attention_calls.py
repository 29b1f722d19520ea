"""Every attention of the pack: found in its code, called at full size on the meta device, and taken by fused kernels,
so that no scores are stored; what is not fused is named with its reason."""

import ast
import importlib

import pytest
import torch

from support.bootstrap import ROOT

PACK = ("common", "fcvg_core", "rerender_core", "tooncrafter_core", "nodes")
# A call with such a name computes attention, or is handed on to what does; softmax is what is left of one written out.
SAYS = ("attention", "attend", "softmax")
FUSED = {
    "fcvg_core/lines/gluestick/network.py: MultiHeadAttention.forward scaled_dot_product_attention": "lines",
    "nodes/host/svd/temporal_attention.py: BackwardMotion.attention optimized_attention": "backward motion",
    "nodes/host/tooncrafter/first_stage.py: attention optimized_attention": "decoding with references",
    "nodes/host/tooncrafter/model.py: attention optimized_attention": "ToonCrafter",
    "rerender_core/flow/gmflow.py: FlowPropagation.forward attend": "GMFlow",
    "rerender_core/flow/gmflow.py: GMFlow.match attend": "GMFlow",
    "rerender_core/flow/gmflow.py: WindowAttention.forward attend": "GMFlow",
    "rerender_core/flow/gmflow.py: attend scaled_dot_product_attention": "GMFlow",
    "tooncrafter_core/attention.py: SelfAttention.forward attention": "ToonCrafter",
    "tooncrafter_core/attention.py: TextImageAttention.forward attention": "ToonCrafter",
    "tooncrafter_core/attention.py: scaled_dot_product scaled_dot_product_attention": "resampler by itself",
    "tooncrafter_core/dual_reference.py: ReferenceAttention.forward attention": "decoding with references",
    "tooncrafter_core/resampler.py: PerceiverAttention.forward attention": "resampler",
    "tooncrafter_core/resampler.py: Resampler.forward attention": "resampler",
}
STORED = {
    "fcvg_core/sampling/backward_motion.py: attention_map softmax": "GI keeps the maps of 25x25 frames: they are "
    "what the backward motion uses, rotated",
    "nodes/host/svd/temporal_attention.py: BackwardMotion.attention attend": "those maps, applied",
    "nodes/host/svd/temporal_attention.py: BackwardMotion.attention attention_map": "those maps, made",
    "fcvg_core/lines/gluestick/assignment.py: log_double_softmax log_softmax": "the assignment is the result",
    "fcvg_core/lines/gluestick/network.py: GlueStick._assign log_double_softmax": "the assignment is the result",
    "fcvg_core/lines/gluestick/superpoint.py: SuperPoint.forward softmax": "over the 65 channels of a cell",
    "rerender_core/flow/gmflow.py: GMFlow.upsample softmax": "over the 9 neighbours of a pixel",
}
NO_ATTENTION = {
    "fcvg_core/sampling/parameter_names.py: diffusers_to_ldm _attention_parameter": "a name",
    "tooncrafter_core/unet.py: VideoUNet.__init__ cross_attentions": "the layers",
    "tooncrafter_core/unet.py: VideoUNet.constants cross_attentions": "the layers",
}


def calls() -> dict[str, set[str]]:
    """ "file: function name" of every call that :data:`SAYS` names -> the lines of the calls, "file:number"."""
    found: dict[str, set[str]] = {}
    for folder in PACK:
        for path in sorted((ROOT / folder).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            for function, call in _calls(ast.parse(path.read_text("utf-8")), ""):
                name = getattr(call.func, "attr", getattr(call.func, "id", ""))
                if any(word in name.lower() for word in SAYS) and not name[0].isupper():
                    lines = range(call.lineno, (call.end_lineno or call.lineno) + 1)
                    found.setdefault(f"{file}: {function} {name}", set()).update(f"{file}:{line}" for line in lines)
    return found


def _calls(node, inside: str):
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, (ast.FunctionDef, ast.ClassDef))
        if isinstance(child, ast.Call):
            yield inside, child
        yield from _calls(child, f"{inside}.{child.name}".lstrip(".") if named else inside)


@pytest.fixture
def memory(host):
    return importlib.import_module("support.told_memory")


def backward_motion(memory):
    """GI's replacement where it has nothing to do: spatial attention and runs without directions."""
    motion = object.__new__(importlib.import_module("betwixt.nodes.host.svd.temporal_attention").BackwardMotion)
    tokens = memory.empty(50, 9216, 320)
    motion.attention(tokens, tokens, tokens, {"n_heads": 5, "attn_precision": None})


def svd_in_the_published_order(memory):
    from betwixt.nodes.host.svd.temporal_attention import DIRECTION, DirectionState, PublishedContextOrder

    tokens = tuple(memory.empty(1, 1, 1024) for _ in range(2))
    options = {"patches": {"attn2_patch": [PublishedContextOrder()]}, DIRECTION: DirectionState(tokens=tokens)}
    model = memory.full_size.svd()
    memory.full_size.evaluate_svd(model, 2, memory.CLIP, {**options, "cond_or_uncond": [0, 1]})


def lines(memory, cross: bool):
    from betwixt.fcvg_core.lines.gluestick.network import MultiHeadAttention

    network = MultiHeadAttention(256, torch.nn, device=memory.META)
    network(memory.empty(256, 1500, dtype=torch.float32), 700, cross)


def resampler(memory, **changes):
    network = memory.full_size.resampler(**changes)
    network(memory.empty(1, 257, network.proj_in.in_features))


WORK = {
    "lines": lambda memory: [lines(memory, cross) for cross in (False, True)],
    "backward motion": backward_motion,
    "decoding with references": lambda memory: memory.decoding_with_references(6)[1](),
    "encoding with references": lambda memory: memory.encoding_of_key_frames()[1](),
    "ToonCrafter": lambda memory: memory.tooncrafter(2)[1](),
    "GMFlow": lambda memory: memory.gmflow(1, *memory.PICTURE)[1](),
    "GMFlow 1024x436": lambda memory: memory.gmflow(1, 436, 1024)[1](),
    "resampler": resampler,
    "resampler by itself": lambda memory: resampler(memory, attention=None),
    "SVD": svd_in_the_published_order,
    "cross-frame attention": lambda memory: memory.key_frame_step((64, 96))[1](),
}


def test_every_attention_is_listed():
    assert sorted(calls()) == sorted({**FUSED, **STORED, **NO_ATTENTION})


@pytest.mark.parametrize("work", WORK)
def test_fused_kernels_take_every_call(memory, work):
    """Shapes, strides, types, masks and widths of heads; the calls listed under this work are among them."""
    attended = memory.attended(lambda: WORK[work](memory))
    assert attended.calls
    places = calls()
    missed = [site for site, by in FUSED.items() if by == work and not places[site] & attended.lines]
    assert missed == []


def test_every_listed_call_is_made():
    assert set(FUSED.values()) <= set(WORK)
