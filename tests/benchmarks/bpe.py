"""Training a BPE beside tokenizers' trainer: the same texts, the same merges, time and memory of each.

    python -m tests.benchmarks.bpe --data ../shared/data [--megabytes 500] [--merges 32000] [--threads 2] [--rounds 1]

Texts are the HTML of the crawl's pages, decoded as UTF-8; each page once, so that there is no more than the crawl has.
They are written to one Parquet file first. Each trainer runs in a process of its own, in turns: it reads the file,
cuts, counts and merges. Time is of the clock (both use so many threads) and of the processor, without imports and with
kernels compiled before; memory is the process's peak less what it held before it read. gigatoken's train_bpe, which
takes plain bytes only, stands beside them where --gigatoken asks for it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

WANTED_RATIO, WANTED_GB = 5.0, 4.0


def pages(data: Path) -> Iterator[str]:
    """The HTML of every page of the crawl, in the order of its files."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for path in sorted((data / "crawl").glob("*.warc.gz")):
        with gzip.open(path) as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                yield record.reader.read().decode("utf-8", "replace")


def write_texts(data: Path, n_bytes: int, path: Path) -> tuple[int, int]:
    """(texts, bytes) written, a row group for some 16 MB."""
    schema = pa.schema([("text", pa.large_string())])
    n_texts = total = held = 0
    group: list[str] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for text in pages(data):
            size = len(text.encode())
            if total + size > n_bytes:
                break
            group.append(text)
            n_texts, total, held = n_texts + 1, total + size, held + size
            if held > 16 << 20:
                writer.write_table(pa.table([pa.array(group, pa.large_string())], schema=schema))
                group, held = [], 0
        if group:
            writer.write_table(pa.table([pa.array(group, pa.large_string())], schema=schema))
    return n_texts, total


def texts_of(path: str) -> Iterator[pa.Array]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group).column(0).combine_chunks()


def ours(path: str, merges: int, pattern: str, threads: int) -> bytes:
    from tests.counted_words import count_texts
    from tokenizer.bpe.train import learn
    from tokenizer.bpe.train_config import TokenizerConfig
    from tokenizer.encoding.patterns import Pattern

    config = TokenizerConfig(vocab_size=merges + 257, pattern=pattern)
    return learn(config, count_texts(texts_of(path), Pattern(pattern), threads)).data


def tokenizers(path: str, merges: int, pattern: str, threads: int) -> bytes:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from tokenizer.bpe.pretokenize import pre_tokenizer
    from tokenizer.encoding.patterns import Pattern

    os.environ["RAYON_NUM_THREADS"] = str(threads)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(Pattern(pattern))
    trainer = trainers.BpeTrainer(vocab_size=merges + 256, min_frequency=2, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((texts.to_pylist() for texts in texts_of(path)), trainer)
    return str(tokenizer.to_str()).encode()


def gigatoken(path: str, merges: int, pattern: str, threads: int) -> bytes:
    from gigatoken import train_bpe

    from tokenizer.encoding.encode import byte_alphabet

    if pattern != "gpt2":
        raise SystemExit("gigatoken trains with GPT-2's pattern alone")
    text = b"\x1e".join(t.encode() for texts in texts_of(path) for t in texts.to_pylist())
    letters = byte_alphabet()
    found = [["".join(letters[b] for b in part) for part in pair]
             for pair in train_bpe(text, merges + 256, [], separator=b"\x1e")[1]]
    return json.dumps({"model": {"merges": found}}).encode()


TRAINERS: dict[str, Callable[[str, int, str, int], bytes]] = {
    "ours": ours, "tokenizers": tokenizers, "gigatoken": gigatoken}


def peak_bytes() -> int:
    """Peak resident memory of this process since it began to run its own program."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM"))


def work(arguments: argparse.Namespace) -> None:
    """One trainer in this process: its figures as JSON, its merges in a file."""
    train = TRAINERS[arguments.trainer]
    train(arguments.small, 300, arguments.pattern, arguments.threads)  # imports, kernels
    before, clock = peak_bytes(), time.perf_counter()
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    data = train(arguments.texts, arguments.merges, arguments.pattern, arguments.threads)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.perf_counter() - clock
    merges = [m if isinstance(m, list) else m.split(" ") for m in json.loads(data)["model"]["merges"]]
    Path(arguments.merges_file).write_text(json.dumps(merges))
    print(json.dumps({"seconds": seconds, "peak": peak_bytes(), "more": peak_bytes() - before,
                      "cpu": used.ru_utime + used.ru_stime - cpu.ru_utime - cpu.ru_stime}))


def measure(folder: Path, arguments: argparse.Namespace, names: list[str]) -> dict[str, dict[str, Any]]:
    """Figures of each trainer: medians of the rounds, and its merges."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    merges: dict[str, Any] = {}
    for number in range(arguments.rounds):
        for name in names if number % 2 == 0 else names[::-1]:
            done = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.bpe", "--trainer", name,
                 "--texts", str(folder / "texts.parquet"), "--small", str(folder / "small.parquet"),
                 "--merges", str(arguments.merges), "--pattern", arguments.pattern,
                 "--threads", str(arguments.threads), "--merges-file", str(folder / "merges.json")],
                check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            merges[name] = json.loads((folder / "merges.json").read_text())
    return {name: {"merges": merges[name], **{key: statistics.median(r[key] for r in found) for key in found[0]}}
            for name, found in runs.items()}


def report(found: dict[str, dict[str, Any]], n_bytes: int, arguments: argparse.Namespace) -> bool:
    print(f"{'':<12}{'seconds':>10}{'CPU s':>10}{'MB/s':>8}{'peak GB':>9}{'its own GB':>12}{'merges':>9}")
    for name, f in found.items():
        print(f"{name:<12}{f['seconds']:>10.2f}{f['cpu']:>10.2f}{n_bytes / 1e6 / f['seconds']:>8.1f}"
              f"{f['peak'] / 1e9:>9.2f}{f['more'] / 1e9:>12.2f}{len(f['merges']):>9,}")
    mine, theirs = found["ours"], found["tokenizers"]
    ratio, cpu = theirs["seconds"] / mine["seconds"], theirs["cpu"] / mine["cpu"]
    same = mine["merges"] == theirs["merges"]
    fits = mine["peak"] <= WANTED_GB * 1e9
    print(f"merges identical to tokenizers': {'yes' if same else 'NO'}")
    if "gigatoken" in found:
        print(f"gigatoken's identical: {'yes' if found['gigatoken']['merges'] == theirs['merges'] else 'no'}")
    print(f"ratio of clock time {ratio:.1f}, of CPU time {cpu:.1f}; wanted {WANTED_RATIO:.0f}: "
          f"{'pass' if ratio >= WANTED_RATIO else 'FAIL'}")
    print(f"peak memory {mine['peak'] / 1e9:.2f} GB; at most {WANTED_GB:.0f} wanted: {'pass' if fits else 'FAIL'}")
    return bool(same and fits and ratio >= WANTED_RATIO)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--merges", type=int, default=32_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pattern", default="gpt2")
    parser.add_argument("--gigatoken", action="store_true")
    for name in ("trainer", "texts", "small", "merges-file"):
        parser.add_argument(f"--{name}", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.trainer:
        work(arguments)
        return
    with tempfile.TemporaryDirectory() as work_folder:
        folder = Path(work_folder)
        write_texts(arguments.data, 1_000_000, folder / "small.parquet")
        n_texts, n_bytes = write_texts(arguments.data, arguments.megabytes * 1_000_000, folder / "texts.parquet")
        print(f"{n_texts:,} pages, {n_bytes / 1e6:,.1f} MB of HTML, pattern {arguments.pattern}, "
              f"{arguments.threads} threads, {arguments.rounds} rounds; load {os.getloadavg()[0]:.1f}")
        names = ["ours", "tokenizers", *(["gigatoken"] if arguments.gigatoken else [])]
        passed = report(measure(folder, arguments, names), n_bytes, arguments)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
