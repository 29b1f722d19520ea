"""Parity with the reference implementations: runs golden folders through the pack and compares the numbers."""
