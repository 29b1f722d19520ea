"""Set-up of the environment, the embedded server and the commands of ``betwixt.py``."""
