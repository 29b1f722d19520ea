"""``betwixt.py farm``: a workflow in parts, on many machines, and its result put together."""
