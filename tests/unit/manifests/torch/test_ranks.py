"""Which data-parallel rank a process is, in real process groups and device meshes of several processes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here: make test-torch")

from manifests import PackedDataset, RecipeError  # noqa: E402
from manifests.torch import TorchLoader, data_parallel_rank  # noqa: E402
from tests.paths import ROOT  # noqa: E402
from tests.unit.manifests.test_dataset import make_dataset  # noqa: E402

pytestmark = pytest.mark.torch

HEAD = """
import sys
import torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from manifests import PackedDataset, RecipeError
from manifests.torch import TorchLoader
data = PackedDataset(sys.argv[1], "train")
"""


def torchrun(code: str, folder: Path, n: int) -> str:
    """What n processes print, one line each, sorted."""
    script = folder / "job.py"
    script.write_text(HEAD + textwrap.dedent(code))
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}",
                           str(script), str(folder / "data")], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return "\n".join(sorted(done.stdout.split("\n"))).strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "data", [8, 8])
    return tmp_path


def test_a_mesh_with_tensor_parallel_ranks(folder: Path) -> None:
    """Ranks of one tensor-parallel group read the same rows, others follow; without the mesh nothing is guessed."""
    out = torchrun("""
        mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        loader = TorchLoader(data, 2, mesh=mesh["dp"], order="sequence")
        refused = ""
        dp = mesh["dp"]
        for wrong in (dict(), dict(mesh=mesh), dict(mesh=mesh["tp"]), dict(mesh=dp, dp_rank=0), dict(dp_rank=1)):
            try:
                TorchLoader(data, 2, **wrong)
            except RecipeError as error:
                refused += "R" if 'device_mesh["dp"]' in str(error) or "give one" in str(error) else "?"
        rows = next(loader).rows.tolist()
        loader.close()
        print(f"{dist.get_rank()} {rows} {loader.order.rank}/{loader.order.world_size} {refused}\\n", end="")
        dist.destroy_process_group()
        """, folder, 4)
    assert out.split("\n") == ["0 [0, 1] 0/2 RRRRR", "1 [0, 1] 0/2 RRRRR", "2 [2, 3] 1/2 RRRRR", "3 [2, 3] 1/2 RRRRR"]


def test_tensor_parallel_ranks_alone(folder: Path) -> None:
    """A dimension over all ranks leaves no trace; the one of a single rank beside it does."""
    out = torchrun("""
        mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
        try:
            TorchLoader(data, 2)
            said = "nothing"
        except RecipeError as error:
            said = str("groups of 1:" in str(error))
        loader = TorchLoader(data, 2, mesh=mesh["dp"], order="sequence")
        rows = next(loader).rows.tolist()
        loader.close()
        print(f"{dist.get_rank()} {said} {rows}\\n", end="")
        dist.destroy_process_group()
        """, folder, 2)
    assert out.split("\n") == ["0 True [0, 1]", "1 True [0, 1]"]


def test_two_data_parallel_dimensions(folder: Path) -> None:
    out = torchrun("""
        mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp_replicate", "dp_shard"))
        loader = TorchLoader(data, 1, mesh=mesh["dp_replicate", "dp_shard"], order="sequence")
        rows = next(loader).rows.tolist()
        loader.close()
        print(f"{dist.get_rank()} {rows} {loader.order.world_size}\\n", end="")
        dist.destroy_process_group()
        """, folder, 4)
    assert out.split("\n") == ["0 [0] 4", "1 [1] 4", "2 [2] 4", "3 [3] 4"]


def test_a_loader_made_before_the_group(folder: Path) -> None:
    """Under torchrun every rank read the same rows where the loader came first; a plain group is understood."""
    out = torchrun("""
        try:
            TorchLoader(data, 1)
            said = "nothing"
        except RecipeError as error:
            said = "init_process_group" in str(error)
        dist.init_process_group("gloo")
        loader = TorchLoader(data, 1, order="sequence")
        rows = next(loader).rows.tolist()
        loader.close()
        print(f"{dist.get_rank()} {said} {rows}\\n", end="")
        dist.destroy_process_group()
        """, folder, 2)
    assert out.split("\n") == ["0 True [0]", "1 True [1]"]


def test_a_group_that_comes_later(tmp_path: Path) -> None:
    """One process, no environment: the loader takes itself for the only one until a group says otherwise."""
    data = PackedDataset(make_dataset(tmp_path, [4]), "train")
    loader = TorchLoader(data, 1)
    assert data_parallel_rank() == (0, 1)
    assert data_parallel_rank(dp_rank=2, dp_size=3) == (2, 3)
    importlib.import_module("torch.testing._internal.distributed.fake_pg")  # which makes the backend known
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("fake", rank=1, world_size=2, store=store)
    try:
        with pytest.raises(RecipeError, match="after the loader was made"):
            next(loader)
        assert TorchLoader(data, 1, order="sequence").order.rank == 1
        assert next(TorchLoader(data, 1, 0, 1, order="sequence")).rows.tolist() == [0]
    finally:
        torch.distributed.destroy_process_group()
