from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

_MODULE = '''
import numba as nb
import numpy as np

@nb.njit
def mixed(x, y):
    return x * 2 + y, x / (y + 1), min(x, y), x < y

@nb.njit(error_model="numpy")
def divided(x):
    return x / 0.0

@nb.njit
def divided_as_python(x):
    return x / 0.0

@nb.njit
def appended(values):
    found = [np.int64(0)]
    for value in values:
        found.append(value)
    return found[-1], len(found), values[1:3].sum(), (values * values)[0]
'''
_USE = '''
from curate.caches import keep_kernels
if {ours}:
    keep_kernels()
import numpy as np
import typed
import numba.core.ir as ir
from numba.core.types import functions
print(functions.BaseFunction.get_call_type.__module__, ir.Inst._rec_list_vars.__module__)
for x, y in ((1, 2), (1, 2.5), (np.float32(3), 2), (np.uint8(200), np.int8(3)), (True, 2)):
    print([(type(value).__name__, value) for value in typed.mixed(x, y)])
print(typed.divided(1.0))
try:
    typed.divided_as_python(1.0)
except ZeroDivisionError as error:
    print(error)
print(typed.appended(np.array([3, 4, 5], np.int32)), typed.appended(np.array([3.5, 4, 5])))
'''


def _run(folder: Path, ours: bool) -> list[str]:
    (folder / "typed.py").write_text(_MODULE)
    done = subprocess.run([sys.executable, "-c", _USE.format(ours=ours)], env={"PYTHONPATH": f"{ROOT}:{folder}",
                          "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_types_that_are_remembered_are_those_that_numba_finds(tmp_path: Path) -> None:
    """Also under two options of the compiler, which give division another meaning."""
    ours, own = _run(tmp_path, True), _run(tmp_path, False)
    assert ours[0] == "curate.kernel_typing curate.kernel_typing"
    assert "curate" not in own[0]
    assert ours[1:] == own[1:]
