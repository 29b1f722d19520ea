"""Frames propagated from two key frames made one."""
