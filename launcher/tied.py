"""Runs a Python program that ends when the process that started it does, however that ended.

``python tied.py PROGRAM ARGUMENT...``, with a pipe as standard input that nobody writes to: the system closes it when
the starting process is gone. The program itself gets an empty standard input.
"""

import os
import runpy
import sys
import threading


def end_with(pipe: int) -> None:
    """End this process as soon as the other end of a pipe is closed."""
    while os.read(pipe, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    pipe = os.dup(0)  # not inherited by the program's own children
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=end_with, args=(pipe,), daemon=True).start()
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
