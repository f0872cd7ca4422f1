"""The program where libraries of the extra `pipeline` are absent, as after `pip install curate-corpus`."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from manifests.version import VERSION
from tests.paths import ROOT

BASE_INSTALL = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"typer", "pydantic", "numba", "polars", "ray", "yaml", "rich", "click"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def program(*words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{before}\nimport sys\nsys.argv[1:] = {list(words)!r}\nfrom pipelines.cli.program import main\nmain()"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [(), ("--help",), ("run", "gpt3", "--out", "x")])
def test_base_install_says_in_one_line_what_is_needed(words: tuple[str, ...]) -> None:
    done = program(*words, before=BASE_INSTALL)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "pip install 'curate-corpus[pipeline]'" in line


def test_base_install_knows_its_version() -> None:
    done = program("--version", before=BASE_INSTALL)
    assert (done.returncode, done.stdout) == (0, f"curate {VERSION}\n")


def test_a_library_that_a_command_lacks_is_named() -> None:
    without_rich = BASE_INSTALL.replace('{"typer", "pydantic", "numba", "polars", "ray", "yaml", "rich", "click"}',
                                        '{"pydantic"}')
    done = program("recipe", "schema", before=without_rich)
    assert done.returncode == 2
    assert "needs the library 'pydantic'" in done.stderr


def test_a_module_of_our_own_that_is_missing_is_a_traceback() -> None:
    broken = "import sys\nsys.modules['pipelines.cli.main'] = None"
    done = program("--help", before=broken)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_version_of_the_module() -> None:
    done = subprocess.run([sys.executable, "-m", "curate", "--version"], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert done.stdout == f"curate {VERSION}\n"
    assert "--version" in program("--help").stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_with_its_code_and_one_line(number: signal.Signals, code: int) -> None:
    program = ("import signal, time; from pipelines.cli import main as cli\n"
               "[signal.signal(n, signal.SIG_DFL) for n in (signal.SIGTERM, signal.SIGHUP)]\n"  # nohup ignores one
               "cli.app = lambda: (print('ready', flush=True), time.sleep(60))\ncli.main()")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                          ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.count("\n") == 1
    assert "the same command goes on from here" in said
