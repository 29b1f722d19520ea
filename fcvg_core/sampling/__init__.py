"""Stable Video Diffusion from both ends: conditioning, ControlNeXt, fusion samplers, decoding."""
