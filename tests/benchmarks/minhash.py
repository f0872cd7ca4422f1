"""MinHash signatures of real crawl text: ours in both schemes, and datatrove's signature stage.

    python -m tests.benchmarks.minhash RUN [--datatrove PYTHON] [--megabytes 30] [--documents 150] [--rounds 3]

Ours: `signatures` on one core, K = 128, word 5-grams, with text hashes and band keys, on texts of RUN's crawl.
datatrove (PYTHON: an interpreter that has it; left out without): its `MinhashDedupSignature` with 16 x 8 = 128
permutations, which writes its files too, on the first texts only, for it takes its time. They take turns; speeds are
text per second of CPU time, the median of the rounds, and the ratio is the median of each round's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.config import DedupConfig, SignatureScheme
from curate.dedup.signing import signatures
from manifests.tables import read_table

OURS = {"affine32": DedupConfig(),
        "datatrove64": DedupConfig(signature=SignatureScheme.DATATROVE64, n_bands=16, n_band_rows=8)}


def texts_of(run: str, n_bytes: int) -> pa.Array:
    """Texts of the run's crawl, in order, up to so many bytes."""
    paths = sorted(Path(run, "extract", "crawl").glob("*/part-*.parquet"))
    texts = pa.concat_arrays([c for path in paths for c in read_table(str(path), ["text"])["text"].chunks])
    n = int((pc.cumulative_sum(pc.binary_length(texts)).to_numpy() <= n_bytes).sum())
    return texts.slice(0, n)


def megabytes(texts: pa.Array) -> float:
    return float(pc.sum(pc.binary_length(texts)).as_py()) / 1e6


class Peer:
    """datatrove in another interpreter, run on demand."""

    def __init__(self, python: str, texts: pa.Array, folder: str) -> None:
        path = Path(folder, "texts.jsonl")
        path.write_text("".join(json.dumps(t) + "\n" for t in texts.to_pylist()), encoding="utf-8")
        script = str(Path(__file__).with_name("minhash_peer.py"))
        self._process = subprocess.Popen([python, script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, text=True)
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("datatrove's process ended; run minhash_peer.py by hand to see why")
        return line

    def seconds(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def seconds_of(texts: pa.Array, config: DedupConfig) -> float:
    start = time.process_time()
    for first in range(0, len(texts), 500):  # in pieces, as a stage reads them
        signatures(texts.slice(first, 500), config)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run")
    parser.add_argument("--datatrove")
    parser.add_argument("--megabytes", type=float, default=30)
    parser.add_argument("--documents", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    texts = texts_of(args.run, int(args.megabytes * 1e6))
    few = texts.slice(0, args.documents)
    speeds: dict[str, list[float]] = {name: [] for name in OURS}
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(args.datatrove, few, folder) if args.datatrove else None
        for config in OURS.values():
            seconds_of(few, config)  # compiled before it is timed
        for _ in range(args.rounds):
            for name, config in OURS.items():
                speeds[name].append(megabytes(texts) / seconds_of(texts, config))
            if peer is not None:
                speeds.setdefault("datatrove", []).append(megabytes(few) / peer.seconds())
        if peer is not None:
            peer.close()
    print(f"{len(texts):,} texts, {megabytes(texts):.1f} MB ({args.documents} of them, {megabytes(few):.2f} MB, for "
          f"datatrove); K = 128, word 5-grams, one core, CPU time, median of {args.rounds}")
    met: list[bool] = []
    for name, found in speeds.items():
        line = f"{name:<12} {statistics.median(found):8.2f} MB/s"
        if "datatrove" in speeds and name != "datatrove":
            ratio = statistics.median(a / b for a, b in zip(found, speeds["datatrove"], strict=True))
            line += f"   {ratio:6.0f} times datatrove"
            if name == "affine32":
                met.append(ratio >= 200)
        print(line)
    met.append(statistics.median(speeds["affine32"]) >= 60)
    print(f"{'PASS' if all(met) else 'FAIL'}: affine32 at 60 MB/s at least, and 200 times datatrove where it is there")
    raise SystemExit(not all(met))


if __name__ == "__main__":
    main()
