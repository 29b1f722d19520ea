"""Lines of two key frames: detected, matched, drawn."""
