"""The pack and what the tests share, importable in the test server."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def use_pack() -> None:
    """Make ``betwixt`` and ``support`` importable here, beside ComfyUI's own modules."""
    if "betwixt" not in sys.modules:
        sys.path.insert(0, str(ROOT))
        from support.bootstrap import leave_path

        leave_path()
