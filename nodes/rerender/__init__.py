"""Nodes of Rerender-A-Video."""
