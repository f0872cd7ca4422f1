"""LightGBM's trees as the flat arrays of the model file."""

from __future__ import annotations

from typing import Any, Final

import lightgbm
import numpy as np

_DIGITS: Final = 6  # of a leaf's value; far below what any decision turns on


def arrays_of(booster: lightgbm.Booster) -> dict[str, list[Any]]:
    """Flat arrays over all trees."""
    trees: dict[str, list[Any]] = {k: [] for k in ("feature", "threshold", "left", "right", "value", "root")}
    for tree in booster.dump_model()["tree_info"]:
        trees["root"].append(_add(tree["tree_structure"], trees))
    return trees


def _add(node: dict[str, Any], trees: dict[str, list[Any]]) -> int:
    """Add a node and all below it; its number, or ~number of a leaf."""
    if "leaf_value" in node:
        trees["value"].append(round(node["leaf_value"], _DIGITS))
        return ~(len(trees["value"]) - 1)
    at = len(trees["feature"])
    trees["feature"].append(node["split_feature"])
    trees["threshold"].append(_down(node["threshold"]))
    trees["left"].append(0)
    trees["right"].append(0)
    trees["left"][at] = _add(node["left_child"], trees)
    trees["right"][at] = _add(node["right_child"], trees)
    return at


def _down(value: float) -> float:
    """The largest float32 that is not above a value: x <= value means the same for every float32 x."""
    low = np.float32(value)
    if low > value:
        low = np.nextafter(low, np.float32(-np.inf))
    return float(str(low))
