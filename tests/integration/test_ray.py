"""The Ray engine: the bytes of the engine in one process, whatever happens to workers, nodes and drivers."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from manifests.records import TaskRecord
from pipelines.progress import SilentReporter
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from tests.integration.conftest import tree
from tests.paths import ROOT

MakeRecipe = Callable[..., Recipe]
_BIN = Path(sys.executable).parent


def _command(web: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "curate", "run", "demo", "--set", f"web={web}", "--out", str(out), *more]


@pytest.mark.timeout(300)
def test_ray_makes_the_bytes_of_one_process(small_demo: tuple[Path, Result], small_web: Path, recipe_of: MakeRecipe,
                                            tmp_path: Path) -> None:
    watch = _Watch()
    result = run(recipe_of(small_web), str(tmp_path / "run"), Settings(workers=2), watch)
    assert result.exit_code == 0
    assert tree(tmp_path / "run") == tree(small_demo[0])
    assert watch.addresses == {"127.0.0.1"}
    assert watch.folder_mode == 0o700
    assert not Path(watch.folder).exists()


class _Watch(SilentReporter):
    """Looks, while a run goes on, at where the processes that Ray has started listen, and at its session's folder."""

    addresses: frozenset[str] = frozenset()
    folder = ""
    folder_mode = 0

    def task_done(self, stage: str, record: TaskRecord) -> None:
        if self.folder:
            return
        import ray

        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        found = {c.laddr.ip.removeprefix("::ffff:") for p in family for c in p.net_connections("tcp")
                 if c.status == psutil.CONN_LISTEN}
        self.addresses = frozenset(found)
        node: Any = ray._private.worker._global_node
        self.folder = str(Path(node.get_session_dir_path()).parent.parent)
        self.folder_mode = stat.S_IMODE(os.stat(self.folder).st_mode)


@pytest.mark.ray
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_nothing(workers: int, demo: tuple[Path, Result], web: Path,
                                               tmp_path: Path) -> None:
    done = subprocess.run(_command(web, tmp_path / "run", "--workers", str(workers), "--format", "json"),
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["failed"] == []
    assert tree(tmp_path / "run") == tree(demo[0])


def _workers_of(stage: str) -> Iterator[psutil.Process]:
    """Ray workers that are making a shard of a stage: Ray names the process after the task."""
    for process in psutil.process_iter(["cmdline"]):
        if any(word.startswith(f"ray::{stage}:") for word in process.info["cmdline"] or ()):
            yield process


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_killed_workers_and_drivers_change_nothing(demo: tuple[Path, Result], web: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    workers_killed = drivers_killed = 0
    for doomed in ("extract", "classifier", "dedup/resolve", None):
        driver = subprocess.Popen(_command(web, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while driver.poll() is None:
            for stage in ("extract", "classifier", "select", "decontaminate/hits", "tokenizer", "tokens"):
                victim = next(_workers_of(stage), None)
                if victim is not None and workers_killed < 8:
                    victim.kill()
                    workers_killed += 1
            if doomed and next(_workers_of(doomed), None) is not None:
                driver.send_signal(signal.SIGKILL)
                drivers_killed += 1
                driver.wait()
            time.sleep(0.02)
    assert driver.returncode == 0
    assert workers_killed >= 4
    assert drivers_killed >= 2
    assert tree(out) == tree(demo[0])


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_lost_node_changes_nothing(demo: tuple[Path, Result], web: Path, tmp_path: Path) -> None:
    # In a process of its own: a cluster in this one would be joined by every later test.
    script = (
        "import os, sys, threading, time; os.environ['RAY_AUTH_MODE'] = 'disabled'\n"
        "from ray.cluster_utils import Cluster\n"
        "from pipelines.loading import load_recipe\n"
        "from pipelines.running import Settings, run\n"
        "memory = dict(object_store_memory=100 << 20, memory=8 << 30)\n"
        "cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1, include_dashboard=False, **memory))\n"
        "doomed = [cluster.add_node(num_cpus=1, **memory) for _ in range(2)]\n"
        "def lose():\n"
        "    while not os.path.isdir(sys.argv[2] + '/extract/crawl/_records'): time.sleep(0.05)\n"
        "    cluster.remove_node(doomed[0], allow_graceful=False)\n"
        "threading.Thread(target=lose, daemon=True).start()\n"
        "result = run(load_recipe('demo', ['web=' + sys.argv[1]]), sys.argv[2], Settings(address=cluster.address))\n"
        "print('failed', len(result.failed))\n")
    done = subprocess.run([sys.executable, "-c", script, str(web), str(tmp_path / "run")], capture_output=True,
                          text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "failed 0" in done.stdout
    assert tree(tmp_path / "run") == tree(demo[0])


@pytest.fixture
def head(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Ray head with its dashboard, as a cluster has it; yields the environment to reach it."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PATH": f"{_BIN}:{os.environ['PATH']}"}
    start = ["ray", "start", "--head", "--port=6479", "--dashboard-port=8465", "--num-cpus=2",
             "--object-store-memory=100000000", "--disable-usage-stats"]
    subprocess.run([str(_BIN / start[0]), *start[1:]], env=environment, check=True, capture_output=True)
    yield environment
    subprocess.run([str(_BIN / "ray"), "stop", "--force"], env=environment, check=True, capture_output=True)


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_ray_job_runs_a_recipe(head: dict[str, str], demo: tuple[Path, Result], web: Path, tmp_path: Path) -> None:
    submit = [str(_BIN / "ray"), "job", "submit", "--address", "http://127.0.0.1:8465", "--", sys.executable, "-m",
              "curate", "run", "demo", "--set", f"web={web}", "--out", str(tmp_path / "run"), "--address", "auto"]
    done = subprocess.run(submit, env=head, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert tree(tmp_path / "run") == tree(demo[0])
