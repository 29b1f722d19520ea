"""Guided patch synthesis: a coarse-to-fine PatchMatch in three engines."""
