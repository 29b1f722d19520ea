"""Key frames in a new style, held together by the constraints of Rerender-A-Video."""
