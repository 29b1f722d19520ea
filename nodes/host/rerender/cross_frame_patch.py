"""Cross-frame attention on a MODEL: a patch of the self-attention of a Stable Diffusion UNet's decoder."""

from dataclasses import dataclass, field

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.patcher_extension import WrappersMP

from ....common.errors import BetwixtError
from ....rerender_core.keyframes.cross_frame_attention import CrossFrameAttention

AT_HAND, TAKEN = "betwixt_cross_frame_at_hand", "betwixt_cross_frame_taken"  # of an evaluation's options


def decoder_layers(unet, loose: bool) -> frozenset[int]:
    """Numbers of the output blocks with self-attention; ``loose`` leaves out the widest (1280 channels in SD1.5)."""
    widths = {
        number: layer.in_channels
        for number, block in enumerate(unet.output_blocks)
        for layer in block
        if isinstance(layer, SpatialTransformer)
    }
    widest = max(widths.values(), default=0)
    return frozenset(number for number, width in widths.items() if not loose or width < widest)


@dataclass
class CrossFramePatch:
    """The attention patch; the sampler tells it step and conditionings before every evaluation.

    Attributes:
        layers: output blocks it acts on.
        attention: the stores, or None while a pass runs without them.
        step: the current sampling step, see :meth:`begin_step`.
        conditionings: (half, the host's id of a conditioning) -> (half, position in it): ids change with every pass.
    """

    layers: frozenset[int]
    attention: CrossFrameAttention | None = None
    step: int = 0
    conditionings: dict = field(default_factory=dict)
    _brought: dict = field(default_factory=dict)

    def attach(self, model):
        """A clone of the MODEL with this patch.

        Raises:
            BetwixtError: another patch of the model merges or tiles tokens.
        """
        patches = model.model_options.get("transformer_options", {}).get("patches", {})
        if patches.get("attn1_patch") and patches.get("attn1_output_patch"):
            raise BetwixtError(
                "The model carries a patch that merges or tiles the tokens of self-attention (ToMe, HyperTile).",
                "Cross-frame attention needs all tokens of a frame in their order.",
                "Remove that patch from the model before 'Rerender Key Frames', or remove 'Cross-Frame Attention'.",
            )
        patched = model.clone()
        patched.set_model_attn1_patch(self)
        patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, AT_HAND, self.evaluate)
        return patched

    def number_conditionings(self, conds: dict) -> None:
        """Take the ids of a guider's conditionings: half 0 is the positive list, half 1 the negative one."""
        halves = (conds.get("positive") or [], conds.get("negative") or [])
        self.conditionings = {
            (half, cond["uuid"]): (half, position)
            for half, conds in enumerate(halves)
            for position, cond in enumerate(conds)
        }

    def begin_step(self, step: int) -> None:
        self.step, self._brought = step, {}

    def _conditioning(self, half: int, identity) -> tuple:
        """Which conditioning this is, the same in every pass.

        Guidance methods that evaluate the model once more (SAG, PAG) pass one of the lists alone, as half 0; what they
        bring themselves, perhaps with a new id in every step, is numbered as it appears in the step.
        """
        for known in ((half, identity), (1 - half, identity)):
            if known in self.conditionings:
                return self.conditionings[known]
        return self._brought.setdefault(identity, ("brought", len(self._brought)))

    def _batch(self, options: dict) -> list[tuple]:
        """The conditionings of an evaluation."""
        pairs = zip(options["cond_or_uncond"], options["uuids"], strict=True)
        return [self._conditioning(half, identity) for half, identity in pairs]

    def evaluate(
        self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs
    ):
        """Around an evaluation of the model: hands the layers what waits on the device already and keeps what they
        leave, so that the model reads no store, and a compiled one is a single graph."""
        options = transformer_options or {}
        attention, at_hand, taken = self.attention, {}, {}
        if attention is not None:
            batch = self._batch(options)
            at_hand = attention.at_hand(self.step, batch, x.device)
        if at_hand is not None:
            taking = attention is not None and attention.takes(self.step)
            options = {**options, AT_HAND: at_hand, TAKEN: taken if taking else None}
        out = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        for layer, tokens in taken.items():
            for own, conditioning in zip(tokens.chunk(len(batch)), batch, strict=True):
                attention.take(own, (self.step, layer, conditioning))
        return out

    def __call__(self, n: torch.Tensor, context: torch.Tensor, value: torch.Tensor, extra: dict):
        kind, number = extra.get("block", ("", -1))
        if kind != "output" or number not in self.layers:
            return n, context, value
        layer = (number, extra.get("block_index", 0))
        if AT_HAND not in extra:
            context = self._fetched(n, layer, extra)
            return n, context, context
        if extra[TAKEN] is not None:
            extra[TAKEN][layer] = n
        kept = extra[AT_HAND].get(layer)
        if kept is None:
            return n, context, value
        if kept[0].shape[1:] != n.shape[1:]:
            self._fetched(n, layer, extra)  # says what is wrong
        context = torch.cat(kept, dim=1).view(n.shape[0], -1, n.shape[2]).to(n.dtype)
        return n, context, context

    @torch.compiler.disable(reason="features come from system memory while the layers before are computed")
    def _fetched(self, n: torch.Tensor, layer: tuple, extra: dict) -> torch.Tensor:
        if self.attention is None:
            return n
        batch = self._batch(extra)
        chunks = [
            self.attention.context(tokens, (self.step, layer, conditioning))
            for tokens, conditioning in zip(n.chunk(len(batch)), batch, strict=True)
        ]
        return torch.cat(chunks)
