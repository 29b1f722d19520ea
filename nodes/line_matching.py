"""Line matching."""

NODES = []
