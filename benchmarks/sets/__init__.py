"""Distances between sets of clips: ``python -m benchmarks.sets REAL GENERATED...``."""
