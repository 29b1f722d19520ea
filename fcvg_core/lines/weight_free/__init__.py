"""Line matching that needs no weights."""
