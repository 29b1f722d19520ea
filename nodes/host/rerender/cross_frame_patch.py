"""Cross-frame attention on a MODEL: a patch of the self-attention of a Stable Diffusion UNet's decoder."""

from dataclasses import dataclass, field

import torch
from comfy.ldm.modules.attention import SpatialTransformer

from ....common.errors import BetwixtError
from ....rerender_core.keyframes.cross_frame_attention import CrossFrameAttention


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

    def __call__(self, n: torch.Tensor, context: torch.Tensor, value: torch.Tensor, extra: dict):
        kind, number = extra.get("block", ("", -1))
        if self.attention is None or kind != "output" or number not in self.layers:
            return n, context, value
        context = self._contexts(n, (number, extra.get("block_index", 0)), extra)
        return n, context, context

    @torch.compiler.disable(reason="the stores change with every step and key frame")
    def _contexts(self, n: torch.Tensor, layer: tuple, extra: dict) -> torch.Tensor:
        batch = list(zip(extra["cond_or_uncond"], extra["uuids"], strict=True))
        chunks = [
            self.attention.context(tokens, (self.step, layer, self._conditioning(half, identity)))
            for tokens, (half, identity) in zip(n.chunk(len(batch)), batch, strict=True)
        ]
        return torch.cat(chunks)
