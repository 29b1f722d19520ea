"""FCVG (frame-wise conditioned video generation, CVPR 2025): correspondences, conditions, ControlNeXt, fusion."""
