"""Which motion each pixel of two key frames follows."""
