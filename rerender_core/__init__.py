"""Rerender-A-Video (SIGGRAPH Asia 2023): optical flow, key-frame constraints, guided patch synthesis and blending."""
