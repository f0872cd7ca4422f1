"""How well `order="shards"` shuffles, beside `order="rows"`: what its batches have in common.

    python -m tests.benchmarks.order [--shards 256] [--rows 1000] [--batch 256]

Every row is given a number of chance, and one that all rows of its shard share. Were batches drawn from all rows, the
mean of either over a batch would vary by the same; the table has the variance of both beside that of such draws, and
how many shards a batch is of.
"""

from __future__ import annotations

import argparse

import numpy as np

from manifests.order import RowOrder


def spread(order: RowOrder, shards: int, rows: int, batch: int) -> tuple[float, float, float]:
    """(variance of batch means of the rows' own numbers, and of their shards', over those of draws from all rows;
    shards a batch)."""
    generator = np.random.default_rng(0)
    own, of_shard = generator.standard_normal(shards * rows), np.repeat(generator.standard_normal(shards), rows)
    read = order.rows_at(np.arange(shards * rows // batch * batch)).reshape(-1, batch)
    drawn = generator.permutation(shards * rows)[: read.size].reshape(-1, batch)
    ratios = [float(values[read].mean(1).var() / values[drawn].mean(1).var()) for values in (own, of_shard)]
    return ratios[0], ratios[1], float(np.mean([len(set((rows_ // rows).tolist())) for rows_ in read]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shards", type=int, default=256)
    parser.add_argument("--rows", type=int, default=1000, help="of a shard")
    parser.add_argument("--batch", type=int, default=256, help="rows of a step over all ranks")
    args = parser.parse_args()
    first = np.arange(args.shards) * args.rows
    print("| order | of the rows' own | of their shards' | shards a batch |\n| --- | --- | --- | --- |")
    windows = [(f"shards, windows of {k}", "shards", k) for k in (4, 8, 32, 128)]
    for name, kind, window in [("rows", "rows", 1), *windows]:
        order = RowOrder(first, [args.shards * args.rows], 1, kind, window)
        own, shared, n = spread(order, args.shards, args.rows, args.batch)
        print(f"| `{name}` | {own:.2f} | {shared:.1f} | {n:.0f} |")


if __name__ == "__main__":
    main()
