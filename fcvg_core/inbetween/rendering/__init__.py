"""Frames from motion layers: ways, splatting, colours."""
