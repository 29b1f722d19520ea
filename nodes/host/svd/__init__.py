"""Stable Video Diffusion in the host."""
