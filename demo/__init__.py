"""Inputs and pictures of the demo: everything is drawn here, no file is needed."""
