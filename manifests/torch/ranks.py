"""Which data-parallel rank a process is: given, read from a device mesh, or refused where it cannot be known.

Ranks of one tensor, context or pipeline group must read the same rows; guessing from the world's size would hand them
different ones, and say nothing.
"""

from __future__ import annotations

import math
import os
from typing import Any, Final

import torch

from manifests.errors import RecipeError

_WHERE: Final = "TorchLoader(mesh=, dp_rank=, dp_size=)"
_FIX: Final = ("give mesh=device_mesh[\"dp\"] (or its data-parallel dimensions, as device_mesh[\"dp_replicate\", "
               "\"dp_shard\"]), or dp_rank= and dp_size=")
_MODEL_PARALLEL: Final = frozenset({"tp", "cp", "pp", "ep", "etp", "sp", "tensor", "context", "pipeline", "expert"})


def data_parallel_rank(mesh: Any = None, dp_rank: int | None = None, dp_size: int | None = None) -> tuple[int, int]:
    """(rank, size) of this process among the data-parallel ones.

    Args:
        mesh: The data-parallel dimensions of a `torch.distributed.device_mesh.DeviceMesh`, one or several.
        dp_rank: The rank, where there is no mesh.
        dp_size: How many there are.
    Returns:
        What was given; else the rank in the default process group, where it has no smaller groups; else (0, 1).
    Raises:
        RecipeError: It cannot be known: there are process groups smaller than the world, the environment says that
            there are several processes and no group is initialised, the mesh has dimensions that are not
            data-parallel, or only half of it was given.
    """
    if mesh is not None:
        return _from_mesh(mesh, dp_rank, dp_size)
    if (dp_rank is None) != (dp_size is None):
        raise RecipeError("dp_rank and dp_size go together", where=_WHERE, hint=_FIX)
    if dp_rank is not None and dp_size is not None:
        return dp_rank, dp_size
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        world = distributed.get_world_size()
        smaller = _sizes_of_groups(world)
        if smaller:
            raise RecipeError(f"the process group of {world} ranks has groups of {', '.join(map(str, smaller))}: which "
                              "ranks are data-parallel cannot be known", where=_WHERE, hint=_FIX)
        return distributed.get_rank(), world
    world_size = os.environ.get("WORLD_SIZE", "1")
    if "RANK" in os.environ and world_size != "1":
        raise RecipeError(f"RANK is {os.environ['RANK']} and WORLD_SIZE {world_size}, but no process group is "
                          "initialised: every rank would read the same rows", where=_WHERE,
                          hint=f"call torch.distributed.init_process_group before, or {_FIX}")
    return 0, 1


def _from_mesh(mesh: Any, dp_rank: int | None, dp_size: int | None) -> tuple[int, int]:
    if dp_rank is not None or dp_size is not None:
        raise RecipeError("a mesh and dp_rank or dp_size are given", where=_WHERE, hint="give one of them")
    names = tuple(mesh.mesh_dim_names or ())
    foreign = [n for n in names if n in _MODEL_PARALLEL]
    if foreign or (mesh.ndim > 1 and not names):
        what = f"dimensions {', '.join(foreign)}" if foreign else f"{mesh.ndim} dimensions without names"
        raise RecipeError(f"the mesh has {what}, whose ranks must read the same rows", where=_WHERE, hint=_FIX)
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        raise RecipeError("this process is not in the mesh", where=_WHERE, hint="read on the ranks of the mesh alone")
    shape = tuple(mesh.mesh.shape)
    rank = 0
    for place, size in zip(coordinate, shape, strict=True):
        rank = rank * size + place
    return rank, math.prod(shape)


def _sizes_of_groups(world: int) -> list[int]:
    """Sizes of process groups of this process that do not hold all ranks. One of a single rank is a dimension of that
    size: beside it there may be one over all ranks, which leaves no trace."""
    groups = getattr(getattr(torch.distributed.distributed_c10d, "_world", None), "pg_group_ranks", {})
    return sorted({len(ranks) for ranks in groups.values() if len(ranks) < world})
