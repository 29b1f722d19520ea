"""What happens between two key frames: timing, paths and arcs of lines and poses, drawn as condition pictures."""
