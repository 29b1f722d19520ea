"""Inbetweens without a model: the motion layers of two key frames, found and rendered at any time."""
