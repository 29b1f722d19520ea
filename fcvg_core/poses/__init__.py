"""Whole-body poses: people found, estimated, drawn, read and written."""
