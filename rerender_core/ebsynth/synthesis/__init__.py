"""Guided patch synthesis: a coarse-to-fine PatchMatch in two engines."""
