from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

_MODULE = '''
import numba as nb
import numpy as np

@nb.njit(cache=True)
def deepest(x):
    if x < 0:
        raise ValueError("is negative")
    return x * 3

@nb.njit(cache=True)
def middle(values, factor=2):
    total = np.zeros(2, np.int64)
    for value in values:
        total[0] += deepest(value) * factor
    total[1] = factor ** 5
    return total

@nb.njit(cache=True)
def outer(values):
    return middle(values).sum() + deepest(1) + len(np.unique(values))

@nb.njit(cache=True)
def other(values):
    return middle(values, 3)[1]
'''
_USE = '''
import sys
from curate.caches import keep_kernels
keep_kernels()
import numpy as np
import linked
compiled = []
from numba.core import event
class Listener(event.Listener):
    def on_start(self, happened): compiled.append(happened.data["dispatcher"].py_func.__name__)
    def on_end(self, happened): pass
event.register("numba:compile", Listener())
values = np.array([1, 2, 2], np.int64)
linked.deepest(0)  # whoever announces compiling has its turn with the first
print(linked.outer(values), linked.other(values))
print(sorted(set(compiled) & set(dir(linked))))
try:
    linked.outer(-values)
except ValueError as error:
    print(error)
print(linked.deepest(5), linked.middle(values).tolist(), linked.outer(values))
try:
    linked.deepest(-1)
except ValueError as error:
    print(error)
'''


def _run(folder: Path, use: str = _USE) -> list[str]:
    (folder / "linked.py").write_text(_MODULE)
    done = subprocess.run([sys.executable, "-c", use], env={"PYTHONPATH": f"{ROOT}:{folder}", "PATH": "/usr/bin:/bin",
                          "NUMBA_CACHE_DIR": str(folder / "kernels")}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_kernels_call_is_part_of_them_and_can_be_called_alone_too(tmp_path: Path) -> None:
    first = _run(tmp_path)
    assert first == ["67 243", "['deepest', 'middle', 'other', 'outer']", "is negative",
                     "15 [30, 32] 67", "is negative"]
    again = _run(tmp_path)
    assert again == [first[0], "[]", *first[2:]]


def test_only_what_python_called_is_kept(tmp_path: Path) -> None:
    _run(tmp_path, _USE[: _USE.index("print(sorted")])
    kept = {path.name.partition(".")[2].partition("-")[0] for path in (tmp_path / "kernels").rglob("*.nbc")}
    assert kept == {"deepest", "outer", "other"}


def test_results_are_those_of_numba_itself(tmp_path: Path) -> None:
    plain = _run(tmp_path, _USE.replace("keep_kernels()\nimport", "import"))
    assert [plain[0], *plain[2:]] == ["67 243", "is negative", "15 [30, 32] 67", "is negative"]


def test_functions_that_call_themselves_are_found(tmp_path: Path) -> None:
    (tmp_path / "recursive.py").write_text(
        "import numba as nb\n\n@nb.njit\ndef power(x, n):\n    return 1 if n == 0 else x * power(x, n - 1)\n\n"
        "@nb.njit\ndef twice(x):\n    return 2 * power(x, 5)\n\n"
        "@nb.njit\ndef even(n):\n    return True if n == 0 else odd(n - 1)\n\n"
        "@nb.njit\ndef odd(n):\n    return False if n == 0 else even(n - 1)\n\n"
        "@nb.njit\ndef both(n):\n    return even(n), odd(n)\n")
    use = ("from curate.caches import keep_kernels\nkeep_kernels()\nimport recursive\n"
           "print(recursive.twice(3), recursive.power(2, 10), recursive.twice(2.0))\nprint(recursive.both(7))")
    assert _run(tmp_path, use) == ["486 1024 64.0", "(False, True)"]


def test_garbage_is_looked_for_as_before_once_a_kernel_is_done(tmp_path: Path) -> None:
    use = """
import gc
from curate.caches import keep_kernels
keep_kernels()
import numpy as np
import linked
gc.set_threshold(650, 7, 7)
linked.outer(np.array([1, 2, 2], np.int64))
print(gc.get_threshold(), gc.isenabled(), gc.get_freeze_count())
gc.freeze()
linked.other(np.array([1, 2, 2], np.int64))
print(gc.get_threshold(), gc.get_freeze_count() > 0)
"""
    assert _run(tmp_path, use) == ["(650, 7, 7) True 0", "(650, 7, 7) True"]
