"""What ComfyUI-Manager and ``comfy node install`` run with ComfyUI's Python, after the requirements are installed.

Has numba compile the kernels that first frames would otherwise wait for, and says in one line what came of it. Installs
nothing, needs no network, and never fails an installation.
"""

import os
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
TELL = "import sys; sys.path.insert(0, '.'); from betwixt.launcher.kernels import compile_and_tell; compile_and_tell()"
LONGEST = 600  # seconds


def outcome() -> str:
    """One line. Compiles in a process of its own: what crashes there takes nothing else along."""
    command = [sys.executable, "-c", TELL]
    try:
        done = subprocess.run(
            command, cwd=FOLDER, capture_output=True, encoding="utf-8", errors="replace", timeout=LONGEST, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"no kernels compiled ({error}); they are when they are first used."
    if done.returncode == 0 and done.stdout.strip():
        return done.stdout.strip().splitlines()[-1]
    why = [f"exit code {done.returncode}", *done.stderr.strip().splitlines()][-1]
    return f"no kernels compiled ({why}); they are when they are first used."


if __name__ == "__main__":
    print("Betwixt: " + outcome())
