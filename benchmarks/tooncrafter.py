"""ToonCrafter: peak memory and time of the decode, time of the encode, UNet steps with and without what a run keeps.

``python -m benchmarks.tooncrafter``. Memory is that of the
activations of the full-size decoder in half precision, counted on the meta device as they come and go, so it needs no
accelerator; times are processor seconds of the tests' narrow networks on the CPU.
"""

import torch
import torch.nn.functional as F
from betwixt.common.memory_model import most_at_once
from betwixt.nodes.host.tooncrafter.first_stage import FirstStageNetwork
from betwixt.tooncrafter_core.checkpoint import take_apart
from betwixt.tooncrafter_core.clip_decoder import decode_clip
from betwixt.tooncrafter_core.dual_reference import HEADS, LAST, References, encode_with_references
from betwixt.tooncrafter_core.unet import VideoUNet
from betwixt.tooncrafter_core.unet_config import UNetConfig
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import Report, in_turns, options
from benchmarks.memory import GIBIBYTE
from support.counted_memory import CountedMemory
from support.models.synthetic_weights import load_manifest, state_dict
from support.models.tooncrafter_stand_ins import GOLDEN

FRAMES = 16
DECODED = (64, 96)  # pixels: frames so small that only FRAMES_AT_ONCE limits how many are decoded together
COMPARED = ["work", "as published", "here"]


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


def decode_rows(report: Report) -> None:
    manifest = load_manifest(GOLDEN / "full_manifest.json.gz")
    parts = take_apart({key: torch.empty(entry["shape"], device="meta") for key, entry in manifest.items()})
    network = FirstStageNetwork(parts.first_stage).half().requires_grad_(False)
    decoder = network.decoder
    decoder.mid.attn_1.optimized_attention = lambda q, k, v: torch.empty_like(q)
    for refinement in decoder.attn_refinement:
        refinement.attention = fused
    columns = [f"{FRAMES} frames of", "attention scores stored, GiB", "plain, GiB", "here, GiB"]
    title = "Decode of the full-size decoder in fp16, peak memory of the activations, counted on the meta device"
    with report.table("decode", title, columns) as table:
        for height, width in ((320, 512), (576, 1024), (1152, 2048)):
            latents = torch.empty(FRAMES, 4, height // 8, width // 8, device="meta", dtype=torch.float16)
            shapes = [(128, 1), (256, 2), (512, 4), (512, 8), (128, 1)]
            references = References(tuple(latents.new_empty(2, c, height // s, width // s) for c, s in shapes))
            peaks = []
            for evaluate in (
                lambda z, r: plain_decode(decoder, z, r, with_scores),
                lambda z, r: plain_decode(decoder, z, r, fused),
                lambda z, r: decode_clip(decoder, decoder.attn_refinement, z, r, 1),
            ):
                with CountedMemory() as memory:
                    evaluate(latents, references)
                peaks.append(memory.peak / GIBIBYTE)
            table.add(f"{width}x{height}", *peaks)


def encode_rows(report: Report, parts, repeats: int) -> None:
    network = FirstStageNetwork(parts.first_stage)
    network.load_state_dict(parts.first_stage, assign=True)
    pictures = torch.rand(FRAMES, 3, 160, 256)
    works = {
        str(count): lambda count=count: encode_with_references(network.encoder, network.quant_conv, pictures[:count])
        for count in (FRAMES, 2)
    }
    taken = in_turns(works, repeats)
    with report.table("encode", "Encode of the key frames, narrow first stage, 256x160", COMPARED) as table:
        work = f"encode, {FRAMES} frames as published, 2 here: processor seconds"
        table.add(work, *(timing.processor for timing in taken.values()))


def decode_time_rows(report: Report, parts, repeats: int) -> None:
    """So many frames at a time, beside the plain evaluation of all."""
    network = FirstStageNetwork(parts.first_stage)
    network.load_state_dict(parts.first_stage, assign=True)
    decoder, (height, width) = network.decoder, DECODED
    _, references = encode_with_references(network.encoder, network.quant_conv, torch.rand(2, 3, height, width))
    latents = torch.randn(FRAMES, 4, height // 8, width // 8)

    def in_pieces(count: int):
        return lambda: decode_clip(decoder, decoder.attn_refinement, latents, references, count)

    chosen = most_at_once(FRAMES, height * width)
    works = {f"{count} at a time": in_pieces(count) for count in (4, 8, FRAMES)}
    works = {"plain": lambda: plain_decode(decoder, latents, references, with_scores), **works}
    taken = in_turns(works, repeats)
    columns = ["frames", "processor seconds", "of the plain evaluation's", "chosen at this size"]
    title = f"Decode with two references, narrow first stage, {FRAMES} frames of {width}x{height}"
    with report.table("decode time", title, columns) as table:
        for name, timing in taken.items():
            share = timing.processor.median / taken["plain"].processor.median
            table.add(name, timing.processor, share, "yes" if name == f"{chosen} at a time" else "")


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


def step_rows(report: Report, parts, repeats: int) -> None:
    network = VideoUNet(UNetConfig.of(parts.unet), device="meta")
    network.load_state_dict(parts.unet, assign=True)
    kept, plain = a_step(network, 16, 24)
    taken = in_turns({"plain": plain, "kept": kept}, repeats)
    with report.table("step", "UNet step: keys, values and frame rate kept over a run", COMPARED) as table:
        table.add(
            "UNet step, narrow, 24x16 latent: processor seconds", *(timing.processor for timing in taken.values())
        )
        shapes = {"device": "meta", "dtype": torch.float16}
        work = []
        for evaluate in reversed(a_step(VideoUNet(UNetConfig(), **shapes), 40, 64, **shapes)):
            with FlopCounterMode(display=False) as counter:
                evaluate()
            work.append(counter.get_total_flops() / 1e12)
        table.add("UNet step, full size, 64x40 latent: counted TFLOP", *work)


@torch.inference_mode()
def main() -> None:
    given = options(__doc__, repeats=5, threads=1).parse_args()
    report = Report("tooncrafter", given)
    decode_rows(report)
    parts = take_apart(state_dict(load_manifest(GOLDEN / "manifest.json.gz")))
    decode_time_rows(report, parts, given.repeats)
    encode_rows(report, parts, given.repeats)
    step_rows(report, parts, given.repeats)


if __name__ == "__main__":
    main()
