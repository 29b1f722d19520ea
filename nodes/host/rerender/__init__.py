"""Rerender-A-Video on the host's models."""
