"""EbSynth: painted key frames carried over a clip."""
