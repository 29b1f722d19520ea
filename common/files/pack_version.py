"""Which pack this is: its version and a digest of the code that makes its results."""

import functools
import hashlib
import re
from pathlib import Path

PACK = Path(__file__).resolve().parents[2]
CODE = ("common", "fcvg_core", "tooncrafter_core", "rerender_core", "nodes")


@functools.cache
def pack_version() -> str:
    """Version and digest, e.g. "0.1.0+3f2a9c41d07b". Equal ones make equal results."""
    found = re.search(r'^version = "([^"]+)"', (PACK / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    digest = hashlib.sha256()
    for path in sorted(path for folder in CODE for path in (PACK / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(PACK).as_posix()}\0".encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return f"{found[1] if found else '0'}+{digest.hexdigest()[:12]}"
