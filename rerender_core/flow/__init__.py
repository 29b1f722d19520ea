"""Optical flow: estimators, warping, pictures of it."""
