"""Weight files as files: recognised, read without running anything in them, and the list of the published ones."""
