"""Nodes of ToonCrafter and DynamiCrafter."""
