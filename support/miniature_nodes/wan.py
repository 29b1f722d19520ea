"""The text encoders of Wan and LTX in miniature behind the stock loader's inputs and outputs."""

from . import tooncrafter
from .pack import use_pack

TOKENS = 4


class WordVectors:
    """A CLIP whose tokens are random vectors of the text's letters, as wide as UMT5's and T5's."""

    def tokenize(self, text):
        return text

    def encode_from_tokens_scheduled(self, text):
        import torch

        from support.models import tiny_wan

        generator = torch.Generator().manual_seed(sum(map(ord, text)))
        words = torch.randn(1, TOKENS, tiny_wan.TEXT_WIDTH, generator=generator)
        return [[words, {"attention_mask": torch.ones(1, TOKENS, dtype=torch.long)}]]  # LTX asks for the mask


class MiniatureCLIPLoader:
    """'Load CLIP' for Wan, LTX and, by its ``type``, for Stable Diffusion 2."""

    RETURN_TYPES = ("CLIP",)
    FUNCTION = "load"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"clip_name": ("STRING", {"default": ""}), "type": ("STRING", {"default": ""})}}

    def load(self, clip_name, type):
        use_pack()
        return (WordVectors() if type in ("wan", "ltxv") else tooncrafter.text_encoder(),)


NODES = (MiniatureCLIPLoader,)
