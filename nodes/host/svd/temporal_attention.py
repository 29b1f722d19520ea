"""Changes to SVD's temporal attention: GI's rotated attention maps and the published context order.

The host calls attention patches for the spatial and the temporal block of a layer with the same block name, always in
this order; both kinds of change need to know which call is which, so they count calls
(docs/methods/svd.md, Host hooks).
"""

from dataclasses import dataclass, field

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.patcher_extension
import torch
from comfy.ldm.modules.attention import SpatialVideoTransformer, optimized_attention

from ....fcvg_core.sampling.backward_motion import BackwardMotionDelta, attend, attention_map, rotated

DIRECTION = "betwixt_direction"  # in transformer_options: the DirectionState of the evaluation under way
BACKWARD_MOTION = "betwixt_backward_motion"  # attachment of models that GI can use
TRANSFORMERS = (
    *(("input", i) for i in (1, 2, 4, 5, 7, 8)),
    ("middle", 0),
    *(("output", i) for i in range(3, 12)),
)  # the blocks of SVD's UNet that attend

LEVELS = {"input": lambda i: i // 3, "middle": lambda i: 3, "output": lambda i: 3 - i // 3}  # times the size is halved


@dataclass
class DirectionState:
    """One evaluation of the model in one direction; made anew for each, so nothing outlives an interrupted run.

    Attributes:
        backward: the clip is in backward order.
        sigma: the noise level, where it is known.
        maps: GI's attention maps by (block, 0 = conditional / 1 = unconditional), left by the forward evaluation and
            taken by the backward one.
        tokens: (conditional, unconditional) context [1, 1, C] when the published context order is asked for.
        temporal, value_input, attended: what the self-attention patches of one block tell each other.
    """

    backward: bool = False
    sigma: float | None = None
    maps: dict = field(default_factory=dict)
    tokens: tuple[torch.Tensor, torch.Tensor] | None = None
    temporal: bool = False
    value_input: torch.Tensor | None = None
    attended: torch.Tensor | None = None
    _calls: dict = field(default_factory=dict)

    def is_temporal(self, patch: str, options: dict) -> bool:
        """Whether this call of the patch named ``patch`` is for the temporal block of its layer."""
        key = (patch, options["block"], options.get("block_index", 0))
        self._calls[key] = self._calls.get(key, 0) + 1
        return self._calls[key] % 2 == 0


class PublishedContextOrder:
    """attn2 patch: the temporal cross-attention context in the wrong order that FCVG, GI and TRF were published with.

    diffusers <= 0.27 builds the context per (pixel, batch entry) and reads it per (batch entry, pixel): with the
    batch [unconditional, conditional], every second pixel of both sees the other's token
    (docs/methods/svd.md, Temporal context fault).
    """

    def attach(self, model):
        patched = model.clone()
        patched.set_model_attn2_patch(self)
        return patched

    def __call__(self, n, context, value, options):
        state = options.get(DIRECTION)
        if state is None or state.tokens is None or not state.is_temporal("attn2", options):
            return n, context, value
        kinds = options["cond_or_uncond"]
        pixels = n.shape[0] // len(kinds)
        cond, uncond = (token.to(context) for token in state.tokens)
        odd = torch.arange(pixels, device=context.device) % 2 == 1
        rows = []
        for kind in kinds:
            takes_cond = odd if kind != 0 or pixels % 2 == 0 else ~odd  # row index = pixels * entry + pixel
            rows.append(torch.where(takes_cond[:, None, None], cond, uncond))
        swapped = torch.cat(rows)
        return n, swapped, swapped


def kept_bytes(unet, shape, element: int) -> int:
    """Size of the attention maps of one half of guidance for latents of ``shape`` [F, 4, h, w]."""
    frames, _, height, width = shape
    sides = {"input": unet.input_blocks, "middle": [unet.middle_block], "output": unet.output_blocks}
    values = 0
    for side, number in TRANSFORMERS:
        transformer = next(layer for layer in sides[side][number] if isinstance(layer, SpatialVideoTransformer))
        heads, level = transformer.time_stack[0].attn1.heads, LEVELS[side](number)
        values += heads * -(-height // 2**level) * -(-width // 2**level) * frames**2
    return values * element


class BackwardMotion:
    """GI on a MODEL: the forward evaluation leaves its temporal self-attention maps, the backward one uses them rotated
    by 180 degrees, with fine-tuned value and output projections (docs/methods/svd.md, GI).

    The fine-tuned projections act as additions to the activations, so that the model's own weights stay as they are:
    no repatching between the directions, and LoRA, fp8 and offloading go on working.

    Args:
        deltas: as :func:`.backward_motion.delta_weights` returns them.
    """

    def __init__(self, deltas: dict):
        load_device = comfy.model_management.get_torch_device()
        dtype = torch.float32 if comfy.model_management.is_device_cpu(load_device) else torch.float16
        self.network = BackwardMotionDelta(deltas, operations=comfy.ops.manual_cast, dtype=dtype)
        self.patcher = comfy.model_patcher.CoreModelPatcher(
            self.network.eval().requires_grad_(False),
            load_device=load_device,
            offload_device=comfy.model_management.unet_offload_device(),
        )

    def attach(self, model):
        patched = model.clone()
        patched.set_additional_models(BACKWARD_MOTION, [self.patcher])
        patched.set_attachments(BACKWARD_MOTION, self)
        patched.set_model_attn1_patch(self.before)
        patched.set_model_attn1_output_patch(self.after)
        for block, number in TRANSFORMERS:
            patched.set_model_attn1_replace(self.attention, block, number)
        wrappers = comfy.patcher_extension.WrappersMP
        patched.add_wrapper_with_key(wrappers.PREPARE_SAMPLING, BACKWARD_MOTION, self._prepare_sampling)
        return patched

    def _prepare_sampling(self, executor, model, noise_shape, *args, **kwargs):
        """The host estimates memory from this shape and uses it for nothing else: the kept maps count as frames."""
        own = model.model.memory_required(noise_shape)
        share = kept_bytes(model.model.diffusion_model, noise_shape, model.model.get_dtype_inference().itemsize) / own
        return executor(model, [noise_shape[0] * (1 + share), *noise_shape[1:]], *args, **kwargs)

    def before(self, n, context, value, options):
        """attn1 patch: notes the projections' input where the fine-tuned ones will be added."""
        state = options.get(DIRECTION)
        if state is not None:
            state.temporal = state.is_temporal("attn1", options)
            state.value_input = value if state.temporal and state.backward else None
        return n, context, value

    def attention(self, q, k, v, options):
        """attn1 replacement."""
        state, heads = options.get(DIRECTION), options["n_heads"]
        if state is None or not state.temporal:
            precision = options.get("attn_precision")
            return optimized_attention(q, k, v, heads, attn_precision=precision, transformer_options=options)
        keys = [(options["block"], kind) for kind in options["cond_or_uncond"]]
        if not state.backward:
            maps = attention_map(q, k, heads)
            state.maps.update(zip(keys, maps.chunk(len(keys)), strict=True))
            return attend(maps, v)
        v = v + self.network.value(options["block"], state.value_input)
        own = attention_map(q, k, heads) if any(key not in state.maps for key in keys) else None
        maps = own if own is not None else torch.cat([rotated(state.maps.pop(key)) for key in keys])
        state.attended = attend(maps, v)
        return state.attended

    def after(self, n, options):
        """attn1 output patch."""
        state = options.get(DIRECTION)
        if state is None or not state.temporal or not state.backward:
            return n
        return n + self.network.output(options["block"], state.attended)
