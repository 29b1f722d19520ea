"""LSD, the line segment detector."""
