"""Nodes of FCVG."""
