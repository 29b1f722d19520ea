"""ToonCrafter: peak memory of the decode, time of the encode, UNet steps with and without what a run keeps.

``python -m benchmarks.tooncrafter``; ComfyUI's tree is taken from COMFYUI_PATH or the cache. Memory is that of the
activations of the full-size decoder in half precision, counted on the meta device as they come and go, so it needs no
accelerator; times are processor seconds of the tests' narrow networks on the CPU.
"""

import statistics
import time
import weakref
from collections import Counter

import torch
import torch.nn.functional as F
from betwixt.nodes.host.tooncrafter.first_stage import FirstStageNetwork
from betwixt.tooncrafter_core.checkpoint import take_apart
from betwixt.tooncrafter_core.clip_decoder import decode_clip
from betwixt.tooncrafter_core.dual_reference import HEADS, LAST, References, encode_with_references
from betwixt.tooncrafter_core.unet import VideoUNet
from betwixt.tooncrafter_core.unet_config import UNetConfig
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from support.models.synthetic_weights import load_manifest, state_dict
from support.models.tooncrafter_stand_ins import GOLDEN

GIB = 1024**3
FRAMES, RUNS = 16, 7


class PeakMemory(TorchDispatchMode):
    """Largest sum of the bytes of all storages alive at once that were made inside."""

    def __init__(self):
        super().__init__()
        self.users, self.now, self.peak = Counter(), 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and not any(tensor is given for given in tree_leaves(args)):
                storage = tensor.untyped_storage()
                self._use(storage._cdata, storage.nbytes())
                weakref.finalize(tensor, self._leave, storage._cdata, storage.nbytes())
        return out

    def _use(self, key: int, size: int) -> None:
        self.users[key] += 1
        if self.users[key] == 1:
            self.now += size
            self.peak = max(self.peak, self.now)

    def _leave(self, key: int, size: int) -> None:
        self.users[key] -= 1
        if self.users[key] == 0:
            self.now -= size


def fused(q, k, v, heads):
    """Attention whose scores are never stored."""
    return torch.empty_like(q)


def with_scores(q, k, v, heads):
    """Attention that stores its scores and their softmax."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return ((q @ k.transpose(-1, -2)).softmax(dim=-1) @ v).transpose(1, 2).flatten(2)


def plain_decode(decoder, latents, references, attention):
    """Every layer on the whole clip; each frame attends to its own copy of the references."""
    h = decoder.mid.block_1(decoder.conv_in(latents), None)
    h = decoder.mid.block_2(decoder.mid.attn_1(h), None)
    for level in reversed(range(len(decoder.up))):
        for block in decoder.up[level].block:
            h = block(h, None)
        refinement, reference = decoder.attn_refinement[level], references.levels[level]
        if hasattr(refinement, "conv"):
            h[:1] += refinement.conv(reference[:1])
            h[-1:] += refinement.conv(reference[1:])
        else:
            tokens = reference.flatten(2).transpose(1, 2).flatten(0, 1)[None].repeat(len(h), 1, 1)
            queries = refinement.to_q(refinement.norm(h).flatten(2).transpose(1, 2))
            found = attention(queries, refinement.to_k(tokens), refinement.to_v(tokens), HEADS)
            h = h + refinement.to_out(found).transpose(1, 2).unflatten(2, h.shape[-2:])
        h = decoder.up[level].upsample(h) if level else h
    h = F.silu(decoder.norm_out(h))
    h[:1] += decoder.attn_refinement[LAST].conv(references.levels[LAST][:1])
    h[-1:] += decoder.attn_refinement[LAST].conv(references.levels[LAST][1:])
    return decoder.conv_out(h)


def decode_rows() -> None:
    manifest = load_manifest(GOLDEN / "full_manifest.json.gz")
    parts = take_apart({key: torch.empty(entry["shape"], device="meta") for key, entry in manifest.items()})
    network = FirstStageNetwork(parts.first_stage).half().requires_grad_(False)
    decoder = network.decoder
    decoder.mid.attn_1.optimized_attention = lambda q, k, v: torch.empty_like(q)
    for refinement in decoder.attn_refinement:
        refinement.attention = fused
    print("| decode, 16 frames, fp16 | plain, scores stored | plain but for the scores | in pieces | share |")
    print("|---|---|---|---|---|")
    for height, width in ((320, 512), (576, 1024), (1152, 2048)):
        latents = torch.empty(FRAMES, 4, height // 8, width // 8, device="meta", dtype=torch.float16)
        shapes = [(128, 1), (256, 2), (512, 4), (512, 8), (128, 1)]
        levels = [latents.new_empty(2, c, height // s, width // s) for c, s in shapes]
        references = References(tuple(levels))
        peaks = []
        for evaluate in (
            lambda z, r: plain_decode(decoder, z, r, with_scores),
            lambda z, r: plain_decode(decoder, z, r, fused),
            lambda z, r: decode_clip(decoder, decoder.attn_refinement, z, r, 1),
        ):
            with PeakMemory() as memory:
                evaluate(latents, references)
            peaks.append(memory.peak / GIB)
        stored, shared, pieces = peaks
        print(
            f"| {width}x{height} | {stored:.0f} GiB | {shared:.1f} GiB | {pieces:.2f} GiB | 1/{stored / pieces:.0f} |"
        )


def medians(*works) -> list[float]:
    """Median processor seconds of each of several pieces of work, run in turns, so that a busy moment hits all."""
    taken = [[] for _ in works]
    for turn in range(RUNS + 1):
        for work, seconds in zip(works, taken, strict=True):
            start = time.process_time()
            work()
            if turn:  # the first turn warms up
                seconds.append(time.process_time() - start)
    return [statistics.median(seconds) for seconds in taken]


def encode_rows(parts) -> None:
    network = FirstStageNetwork(parts.first_stage)
    network.load_state_dict(parts.first_stage, assign=True)
    pictures = torch.rand(FRAMES, 3, 160, 256)
    few, many = medians(
        *(
            lambda count=count: encode_with_references(network.encoder, network.quant_conv, pictures[:count])
            for count in (2, FRAMES)
        )
    )
    print("\n| encode, narrow, 256x160 | 2 frames | 16 frames as published | share |\n|---|---|---|---|")
    print(f"| CPU | {few:.2f} s | {many:.2f} s | 1/{many / few:.1f} |")


def a_step(network: VideoUNet, height: int, width: int, **factory):
    """Two evaluations of one step: with what a run keeps, and plain, every frame with text keys of its own."""
    tokens = network.config.context_width
    x = torch.empty(FRAMES, network.config.in_channels, height, width, **factory).normal_()
    t, fps = (torch.full((FRAMES,), value, device=x.device) for value in (500.0, 10.0))
    text, image = (torch.empty(*shape, tokens, **factory).normal_() for shape in ((1, 77), (FRAMES, 16)))
    kept = network.constants(text, image, fps)

    def plain():
        return network(x, t, network.constants(text.expand(FRAMES, -1, -1), image, fps), FRAMES)

    return lambda: network(x, t, kept, FRAMES), plain


def step_rows(parts) -> None:
    network = VideoUNet(UNetConfig.of(parts.unet), device="meta")
    network.load_state_dict(parts.unet, assign=True)
    kept, plain = medians(*a_step(network, 16, 24))
    print("\n| UNet step | keys, values, rate kept | plain |\n|---|---|---|")
    print(f"| CPU, narrow, 24x16 latent | {kept * 1000:.0f} ms | {plain * 1000:.0f} ms |")
    shapes = {"device": "meta", "dtype": torch.float16}
    work = []
    for evaluate in a_step(VideoUNet(UNetConfig(), **shapes), 40, 64, **shapes):
        with FlopCounterMode(display=False) as counter:
            evaluate()
        work.append(counter.get_total_flops() / 1e12)
    print(f"| counted, full size, 64x40 latent | {work[0]:.3f} TFLOP | {work[1]:.3f} TFLOP |")


@torch.inference_mode()
def main() -> None:
    decode_rows()
    parts = take_apart(state_dict(load_manifest(GOLDEN / "manifest.json.gz")))
    encode_rows(parts)
    step_rows(parts)


if __name__ == "__main__":
    main()
