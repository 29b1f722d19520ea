"""Nodes of EbSynth."""
