"""For developers of the pack: texts for the interface, workflows and their pictures. Nothing here runs in ComfyUI."""
