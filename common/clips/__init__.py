"""Clips, whatever made them: pairs of key frames, joints and ends, lengths, sizes, colours, cuts."""
