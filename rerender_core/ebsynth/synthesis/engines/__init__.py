"""The engines of patch synthesis, which improve the matches of one level; see :class:`.search_level.Engine`."""
