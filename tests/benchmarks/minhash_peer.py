"""datatrove's signature stage in a process of its own: reads texts, then runs once for each line it is sent."""

from __future__ import annotations

import json
import sys
import tempfile
import time

from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as stream:
        documents = [Document(text=json.loads(line), id=str(i)) for i, line in enumerate(stream)]
    config = MinhashConfig(n_grams=5, num_buckets=16, hashes_per_bucket=8)
    stage = MinhashDedupSignature(tempfile.mkdtemp(), config)
    stage.get_shingles("one text that loads the tokenizer before the clock starts")
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        stage.run(iter(documents))
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
