"""Parity of ToonCrafter and DynamiCrafter, every network through the pack's loader and the host's real code paths."""

from tests.parity import tooncrafter_conditioning, tooncrafter_networks, tooncrafter_sampling

KINDS = {
    **tooncrafter_conditioning.KINDS,
    **tooncrafter_networks.KINDS,
    **tooncrafter_sampling.KINDS,
}
