"""Shape of a ToonCrafter or DynamiCrafter UNet, read from its state dict."""

from collections.abc import Mapping
from dataclasses import dataclass

INIT_ATTENTION_HEADS = 8
ATTENTION_LEVELS = 3  # attention at 1, 1/2 and 1/4 of the latent's size
RES_BLOCKS = 2


@dataclass(frozen=True)
class UNetConfig:
    """What shapes and keys of the published files differ in.

    Attributes:
        in_channels, out_channels: of the latent (8 = noisy and concatenated latent; 4).
        model_channels: width of the first level.
        channel_mult: width of each level in units of ``model_channels``.
        head_channels: width of an attention head.
        context_width: of text and image tokens.
        learned_image_scale: the 256-pixel model weights image attention by a learned factor.
    """

    in_channels: int = 8
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    head_channels: int = 64
    context_width: int = 1024
    learned_image_scale: bool = False

    @classmethod
    def of(cls, state_dict: Mapping) -> "UNetConfig":
        """The configuration of a UNet's state dict (keys without the ``model.diffusion_model.`` prefix).

        Raises:
            KeyError: the state dict is of another network.
        """
        first = state_dict["input_blocks.0.0.weight"]
        channels = first.shape[0]
        mult, block = [], 1
        while f"input_blocks.{block}.0.out_layers.3.weight" in state_dict:
            mult.append(state_dict[f"input_blocks.{block}.0.out_layers.3.weight"].shape[0] // channels)
            block += RES_BLOCKS + 1
        initial = state_dict["init_attn.0.transformer_blocks.0.attn1.to_q.weight"].shape[0]
        return cls(
            in_channels=first.shape[1],
            out_channels=state_dict["out.2.weight"].shape[0],
            model_channels=channels,
            channel_mult=tuple(mult),
            head_channels=initial // INIT_ATTENTION_HEADS,
            context_width=state_dict["input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"].shape[1],
            learned_image_scale="input_blocks.1.1.transformer_blocks.0.attn2.alpha" in state_dict,
        )
