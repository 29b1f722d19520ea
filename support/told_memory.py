"""What the host is told about memory, and the peak that is counted on the meta device at full size, part by part.

ComfyUI must be importable. Fused attention takes every call on the way, or counting fails.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from unittest import mock

import torch
from betwixt.common import memory_model
from betwixt.common.card_choices import CONTROLNEXT, SD15_CONTROLNET, SD15_UNET, SVD_UNET, TOON_UNET

from support.counted_memory import FusedAttention, counted_peak
from support.models import full_size
from support.models.full_size import HALF, META, empty

CLIP, TOON, TOON_LARGE, PICTURE = (25, 576, 1024), (16, 320, 512), (16, 576, 1024), (512, 768)
FLOAT = torch.float32
Part = tuple[float, Callable[[], object]]  # bytes told to the host, the work they are told for


def svd(halves: int, size=CLIP) -> Part:
    model = full_size.svd()
    told = model.memory_required([halves * size[0], 4, size[1] // 8, size[2] // 8])
    return told, lambda: full_size.evaluate_svd(model, halves, size)


def kept_attention_maps() -> Part:
    """GI: those of the forward motion wait for the backward one."""
    from betwixt.nodes.host.svd.temporal_attention import DIRECTION, TRANSFORMERS, BackwardMotion, DirectionState

    model, motion = full_size.svd(), object.__new__(BackwardMotion)
    motion.network = SimpleNamespace(value=lambda _, h: torch.empty_like(h), output=lambda _, h: torch.empty_like(h))
    patches = {"attn1_patch": [motion.before], "attn1_output_patch": [motion.after]}
    options = {"patches": patches, "patches_replace": {"attn1": dict.fromkeys(TRANSFORMERS, motion.attention)}}

    def both() -> None:
        forward = DirectionState()
        for state in (forward, DirectionState(backward=True, maps=forward.maps)):
            full_size.evaluate_svd(model, 2, CLIP, {**options, "cond_or_uncond": [0, 1], DIRECTION: state})

    noise = [CLIP[0], 4, CLIP[1] // 8, CLIP[2] // 8]
    shape = motion._prepare_sampling(lambda model, noise_shape: noise_shape, SimpleNamespace(model=model), noise)
    return model.memory_required([2 * shape[0], *shape[1:]]), both


def controlnext(frames: int = 5) -> Part:
    network, pictures = full_size.controlnext(), empty(frames, 3, *CLIP[1:])
    told = frames * network.bytes_per_frame(*CLIP[1:], HALF.itemsize)
    return told, lambda: network(pictures, empty(1, dtype=FLOAT))


def tooncrafter(halves: int, size=TOON) -> Part:
    from betwixt.nodes.host.tooncrafter.model import ToonCrafterConfig
    from comfy.model_base import BaseModel

    network, asking = full_size.tooncrafter_unet(), SimpleNamespace(memory_usage_factor_conds=())
    asking.memory_usage_factor, asking.get_dtype_inference = ToonCrafterConfig.memory_usage_factor, lambda: HALF
    told = BaseModel.memory_required(asking, [halves * size[0], 4, size[1] // 8, size[2] // 8])
    return told, lambda: full_size.evaluate_tooncrafter(network, halves, size)


def _first_stage():
    from betwixt.nodes.host.tooncrafter.first_stage import FirstStage

    stage = object.__new__(FirstStage)
    stage.dtype, stage.variant = HALF, SimpleNamespace(dual_reference=True, name="ToonCrafter")
    stage.patcher = SimpleNamespace(model=full_size.tooncrafter_first_stage(), load_device=META)
    return stage


def decoding_with_references(at_once: int, size=TOON) -> Part:
    from betwixt.tooncrafter_core.clip_decoder import decode_clip, stored_affine

    stage, (frames, height, width) = _first_stage(), size
    decoder, latents = stage.patcher.model.decoder, empty(frames, 4, height // 8, width // 8)
    references = full_size.references(height, width)
    told = stage.decode_bytes(frames, at_once, height * width)
    return told, lambda: decode_clip(decoder, decoder.attn_refinement, latents, references, at_once, stored_affine)


def encoding_of_key_frames() -> Part:
    import comfy.model_management as management

    stage, told, pictures = _first_stage(), [], empty(2, *TOON[1:], 3, dtype=FLOAT)
    stage._load = told.append

    def encode():
        with mock.patch.object(management, "intermediate_device", lambda: META):
            return stage.encode(pictures)

    encode()
    return told[0], encode


def decoding_of_svd(frames: int, at_once: int | None) -> Part:
    """``at_once``: frames evaluated at a time; None leaves it to the host's decoder."""
    from betwixt.tooncrafter_core.clip_decoder import decode_clip, stored_affine

    decoder = full_size.svd_decoder()
    latents, pixels = empty(frames, 4, CLIP[1] // 8, CLIP[2] // 8), CLIP[1] * CLIP[2]
    if at_once is None:
        return memory_model.whole_bytes(frames, pixels, HALF.itemsize), lambda: decoder(latents)
    told = memory_model.piecewise_bytes(frames, at_once, pixels, HALF.itemsize)
    return told, lambda: decode_clip(decoder, None, latents, None, at_once, stored_affine)


def gmflow(pairs: int, height: int, width: int) -> Part:
    from betwixt.nodes.host.services.flow_models import GMFlowModel

    network, frames = full_size.gmflow(), empty(pairs, 3, height, width, dtype=FLOAT)
    return GMFlowModel.bytes(None, pairs, height, width), lambda: network(frames, frames)


def raft(pairs: int, height: int, width: int) -> Part:
    from betwixt.nodes.host.services.flow_models import RAFTModel
    from torchvision.models.optical_flow import raft_large

    with META:
        network = raft_large().eval().requires_grad_(False)
    frames = empty(2 * pairs, 3, height, width, dtype=FLOAT)
    told = RAFTModel.bytes(RAFTModel, pairs, height, width)
    return told, lambda: network(frames, frames, num_flow_updates=2)


def key_frame_step(cells: tuple[int, int], read: list | None = None) -> Part:
    """What features may not take from the model: its evaluation with twice as many keys and values. The values read
    per layer are added to ``read``."""
    model = full_size.sd15()

    def twice(n, context, value, options):
        if options["block"][0] == "output" and n.shape[-1] < 1280 and read is not None:
            read.append(n[0].numel())
        return (n, *[torch.cat([context] * 2, dim=1)] * 2) if options["block"][0] == "output" else (n, context, value)

    given = {"transformer_options": {"patches": {"attn1_patch": [twice]}}, "c_crossattn": empty(2, 77, 768)}
    x, t = empty(2, 4, *cells, dtype=FLOAT), empty(2, dtype=FLOAT)
    return model.memory_required([2, 4, *cells]), lambda: model.apply_model(x, t, **given)


def feature_stores(cells: tuple[int, int], steps: int = 20) -> Part:
    """A step beside the features of two frames, which the loop itself has kept."""
    from betwixt.nodes.host.rerender.cross_frame_patch import CrossFramePatch, decoder_layers
    from betwixt.rerender_core.keyframes.constraints import CrossFrame
    from betwixt.rerender_core.keyframes.cross_frame_attention import CrossFrameAttention, Role

    model = full_size.sd15()
    patch = CrossFramePatch(decoder_layers(model.diffusion_model, loose=True))
    shapes: list = []

    def note(n, context, value, extra):
        if extra["block"][0] == "output" and extra["block"][1] in patch.layers:
            shapes.append((n.shape[1:], (extra["block"][1], extra["block_index"])))
        return n, context, value

    given = {"transformer_options": {"patches": {"attn1_patch": [note]}}, "c_crossattn": empty(1, 77, 768)}
    model.apply_model(empty(1, 4, *cells, dtype=FLOAT), empty(1, dtype=FLOAT), **given)
    kept: list = []

    def fill() -> None:
        stores = CrossFrameAttention(CrossFrame(), steps)
        kept.append(stores)
        for role in (Role.RECORD, Role.UPDATE):
            stores.begin_pass(role)
            for step in range(steps):
                for shape, layer in shapes:
                    for half in (0, 1):
                        stores.context(empty(1, *shape), (step, layer, (half, 0)))
            stores.finish_pass()

    told, evaluate = key_frame_step(cells)

    def filled_and_evaluated() -> None:
        fill()
        evaluate()

    return told + memory_model.feature_bytes(steps, 8 * cells[0], 8 * cells[1]), filled_and_evaluated


def interest_points() -> Part:
    from betwixt.fcvg_core.lines.gluestick.matcher import GlueStickMatcher
    from betwixt.fcvg_core.lines.gluestick.superpoint import SuperPoint

    with META:
        network = SuperPoint().requires_grad_(False)
    sizes = SimpleNamespace(superpoint=network, max_points=0, max_lines=0)
    sizes.gluestick = SimpleNamespace(final_proj=SimpleNamespace(weight=empty(256)))
    told = GlueStickMatcher.activation_bytes(sizes, *PICTURE)
    return told, lambda: network(empty(1, 1, *PICTURE, dtype=FLOAT))


PARTS: dict[str, Callable[[], Part]] = {
    "FCVG 25x1024x576, both halves of guidance": lambda: svd(2),
    "FCVG 25x1024x576, one half": lambda: svd(1),
    "FCVG 14x512x320, both halves": lambda: svd(2, (14, 320, 512)),
    "GI 25x1024x576, attention maps kept": kept_attention_maps,
    "ControlNeXt, 5 conditions of 1024x576": controlnext,
    "ToonCrafter 16x512x320, both halves": lambda: tooncrafter(2),
    "ToonCrafter 16x512x320, one half": lambda: tooncrafter(1),
    "ToonCrafter 16x1024x576, both halves": lambda: tooncrafter(2, TOON_LARGE),
    "ToonCrafter encode, 2 key frames of 512x320": encoding_of_key_frames,
    "ToonCrafter decode 16x512x320, 1 frame at a time": lambda: decoding_with_references(1),
    "ToonCrafter decode 16x512x320, 3 at a time": lambda: decoding_with_references(3),
    "ToonCrafter decode 16x512x320, 6 at a time": lambda: decoding_with_references(6),
    "SVD decode, 8 frames of 1024x576": lambda: decoding_of_svd(8, None),
    "SVD decode, 25 frames of 1024x576": lambda: decoding_of_svd(25, None),
    "SVD decode, 8 frames of 1024x576, 1 at a time": lambda: decoding_of_svd(8, 1),
    "SVD decode, 25 frames of 1024x576, 1 at a time": lambda: decoding_of_svd(25, 1),
    "SVD decode, 25 frames of 1024x576, 4 at a time": lambda: decoding_of_svd(25, 4),
    "Rerender step 512x512, both halves": lambda: key_frame_step((64, 64)),
    "Rerender step 768x512, both halves": lambda: key_frame_step((64, 96)),
    "Rerender step 768x512 beside the features of 20 steps": lambda: feature_stores((64, 96)),
    "GMFlow, 1 pair of 768x512": lambda: gmflow(1, *PICTURE),
    "GMFlow, 4 pairs of 768x512": lambda: gmflow(4, *PICTURE),
    "GMFlow, 1 pair of 1920x1088": lambda: gmflow(1, 1088, 1920),
    "RAFT, 1 pair of 768x512": lambda: raft(1, *PICTURE),
    "RAFT, 4 pairs of 768x512": lambda: raft(4, *PICTURE),
    "RAFT, 2 pairs of 256x256": lambda: raft(2, 256, 256),
    "RAFT, 1 pair of 1920x1080": lambda: raft(1, 1080, 1920),
    "SuperPoint 768x512": interest_points,
}
FILES = 1e9  # bytes of a card, as they are sold
# (part, weights in bytes that stay beside it, card that is to hold both)
CARDS = (
    ("FCVG 25x1024x576, both halves of guidance", 2 * SVD_UNET + 4 * CONTROLNEXT, 12 * FILES),
    ("FCVG 25x1024x576, one half", 2 * SVD_UNET + 4 * CONTROLNEXT, 8 * FILES),
    ("ToonCrafter 16x512x320, both halves", 2 * TOON_UNET, 6 * FILES),
    ("Rerender step 768x512, both halves", 2 * (SD15_UNET + SD15_CONTROLNET), 5 * FILES),
)


@contextlib.contextmanager
def as_on_a_card() -> Iterator[None]:
    """The host's choices of attention and precision on a card with fused kernels."""
    with full_size.attending_as_on_a_card(), torch.inference_mode():
        yield


def told_and_counted(part: str) -> tuple[float, int]:
    """Bytes told, and the counted peak of the work."""
    with as_on_a_card():
        told, work = PARTS[part]()
        return told, counted_peak(work)


def attended(work: Callable[[], object]) -> FusedAttention:
    """The attention calls of ``work``, which fused kernels take."""
    with as_on_a_card(), FusedAttention() as calls:
        work()
    return calls
