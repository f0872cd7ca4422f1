"""Time to build, load and ask a list of five million domains: `make bench-blocklists`.

Names are made here; of the URLs asked, half are on the list or below a name on it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from curate.sources.blocklists import ListFile, load_lists
from curate.text.urls import hosts_of

N_ENTRIES = 5_000_000
N_URLS = 1_000_000


def name(number: int) -> str:
    return f"{(number * 2654435761) % 2**32:x}.site{number % 9973}.example"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CURATE_CACHE"] = folder
        path = Path(folder) / "domains"
        path.write_text("\n".join(map(name, range(N_ENTRIES))))
        file = ListFile(str(path), "domains", "list")
        started = time.process_time()
        table = load_lists([file])
        built = time.process_time() - started
        urls = pa.array([f"https://www.{name(i * 2 * N_ENTRIES // N_URLS)}/page/{i}.html" for i in range(N_URLS)])
        hosts = hosts_of(urls)
        table.match(urls[:10], hosts[:10])
        best = min(_seconds(table.match, urls, hosts) for _ in range(5))
        matched = N_URLS - table.match(urls, hosts).null_count
        code = ("import time; from curate.sources.blocklists import ListFile, load_lists; t = time.process_time(); "
                f"load_lists([ListFile({str(path)!r}, 'domains', 'list')]); print(time.process_time() - t)")
        again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        n_bytes = sum(p.stat().st_size for p in Path(folder).rglob("*.npy"))
    print(f"| {N_ENTRIES:,} domains | |\n|---|---|")
    print(f"| built from text, first time | {built:.1f} s |")
    print(f"| opened by another process | {float(again.stdout):.2f} s |")
    print(f"| mapped into memory, once a node | {n_bytes / 1e6:.0f} MB |")
    print(f"| one URL's host and its parent domains | {best / N_URLS * 1e9:.0f} ns |")
    print(f"| found, of {N_URLS:,} asked | {matched:,} |")


def _seconds(call: object, *arguments: object) -> float:
    started = time.process_time()
    call(*arguments)  # type: ignore[operator]
    return time.process_time() - started


if __name__ == "__main__":
    main()
