"""Everything that wants a CUDA card, in one command: ``python -m benchmarks.card``; see benchmarks/README.md."""
