"""``python -m tools.check_types``: mypy on the cores, ``common``, ``demo`` and ``launcher``, as package ``betwixt``.

mypy derives the package's name from the folder's, and a checkout's may be no identifier; so it checks a copy. Paths in
its messages are relative to the checkout; its cache is .out/types.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKED = ("common", "demo", "fcvg_core", "launcher", "rerender_core", "tooncrafter_core")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "betwixt"
        for name in CHECKED:
            shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
        (package / "__init__.py").touch()
        command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
        command += ["--cache-dir", str(ROOT / ".out" / "types"), "--package", "betwixt"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    print("\n".join(line.removeprefix("betwixt/") for line in lines))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
