"""Nodes that make inbetweens without a model, and guide frames from them."""
