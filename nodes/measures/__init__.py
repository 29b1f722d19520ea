"""Nodes that measure and compare clips."""
