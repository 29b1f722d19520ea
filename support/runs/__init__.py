"""Nodes and graphs run for a test or a benchmark."""
