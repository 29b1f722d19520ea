import os
import subprocess
import sys

from support.bootstrap import ROOT

SCRIPT = """
import sys, types, numpy
name = sys.argv[1]
package = types.ModuleType(name)
package.__path__ = [sys.argv[2]]
sys.modules[name] = package
import importlib
lsd = importlib.import_module(name + ".fcvg_core.lines.lsd.detector")
picture = numpy.zeros((40, 60), numpy.uint8)
picture[10:30, 15:45] = 200
print(len(lsd.lsd(picture, 1.0, "numba")))
"""


def test_cached_kernels_serve_the_pack_under_any_name(tmp_path):
    """ComfyUI names the package after its path: kernels compiled in one place must load in another."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    found = []
    for name in ("first_name", "second_name"):
        command = [sys.executable, "-c", SCRIPT, name, str(ROOT)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found.append(int(done.stdout))
    assert found[0] == found[1] > 0
    assert list(tmp_path.rglob("*.nbc"))
