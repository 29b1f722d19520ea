"""ComfyUI-Betwixt's launcher: python3 betwixt.py demo | test | run | serve | doctor.

Needs nothing but Python. The work is done in the folder ``launcher``.
"""

import os
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 10), (3, 13)
ROOT = os.path.dirname(os.path.abspath(__file__))


def use_supported_python():
    """Go on with another Python of this machine if this one is too old or too new. Runs on any Python 3."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    names = ["python3.%d" % minor for minor in (12, 11, 13, 10)]  # noqa: UP031
    for path in filter(None, map(shutil.which, names)):
        if subprocess.call([path, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            print("Python %d.%d is not supported; going on with %s." % (*sys.version_info[:2], path), flush=True)  # noqa: UP031
            command = [path, os.path.abspath(__file__)] + sys.argv[1:]
            if os.name != "nt":
                os.execv(path, command)  # Ctrl-C then reaches one process only
            sys.exit(subprocess.call(command))
    sys.exit(
        "ComfyUI-Betwixt needs Python 3.10 to 3.13; this is Python %d.%d, and no other was found. "  # noqa: UP031
        "Install one (for example Debian's or Ubuntu's package python3.12-venv) and run: python3.12 betwixt.py ..."
        % sys.version_info[:2]
    )


if __name__ == "__main__" and sys.argv[1:2] != ["inside"]:
    use_supported_python()
__path__ = [ROOT]  # this module is the package "betwixt", whatever the folder's name
sys.modules.setdefault("betwixt", sys.modules[__name__])

if __name__ == "__main__":
    from betwixt.launcher.commands import main

    sys.exit(main(sys.argv[1:]))
