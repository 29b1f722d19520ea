"""Nodes that work on any clip."""
