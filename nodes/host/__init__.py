"""Everything that adapts to the host: model files, progress, patchers. A host update touches this folder alone."""
