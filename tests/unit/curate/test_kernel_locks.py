from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.paths import ROOT

_MODULE = '''
import numba as nb
import numpy as np

@nb.njit(cache=True)
def outer(values):
    return np.sort(values).sum() + np.unique(values).size
'''
_USE = '''
import sys, time
from curate.caches import keep_kernels
keep_kernels()
import numpy as np
import slow_kernel
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, happened):
        compiled.append(happened.data["dispatcher"].py_func.__name__)
        if compiled == ["outer"]:
            print("compiling", flush=True)
            time.sleep({sleep})
    def on_end(self, happened): pass
event.register("numba:compile", Listener())
print(slow_kernel.outer(np.arange(5.0)), "outer" in compiled, flush=True)
'''


def _start(folder: Path, sleep: float) -> subprocess.Popen[str]:
    (folder / "slow_kernel.py").write_text(_MODULE)
    return subprocess.Popen([sys.executable, "-c", _USE.format(sleep=sleep)], stdout=subprocess.PIPE, text=True,
                            env={"PYTHONPATH": f"{ROOT}:{folder}", "PATH": "/usr/bin:/bin",
                                 "NUMBA_CACHE_DIR": str(folder / "kernels")})


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_kernel_is_compiled_by_one_process_and_loaded_by_the_others(tmp_path: Path) -> None:
    first = _start(tmp_path, sleep=3)
    assert _line(first) == "compiling"
    others = [_start(tmp_path, sleep=0) for _ in range(2)]
    assert [_line(process) for process in (first, *others)] == ["15.0 True", "15.0 False", "15.0 False"]
    assert [process.wait() for process in (first, *others)] == [0, 0, 0]


def test_one_that_dies_while_it_compiles_stops_nobody(tmp_path: Path) -> None:
    first = _start(tmp_path, sleep=600)
    assert _line(first) == "compiling"
    other = _start(tmp_path, sleep=0)
    time.sleep(1)
    first.kill()
    assert _line(other) == "compiling"
    assert _line(other) == "15.0 True"
    assert (first.wait(), other.wait()) == (-9, 0)
