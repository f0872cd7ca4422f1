"""Lines tokenised by TRL's SFT trainer, with its masks: run by the Python of an environment that has TRL.

    python tokenize_by_trl.py TOKENIZER.json TEMPLATE.jinja LINES.jsonl > ids.jsonl

A line of the result: {"ids": [...], "labels": [...]}; -100 where nothing is learned."""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

import torch
from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer


def main(tokenizer_file: str, template_file: str, lines: str) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=tokenizer_file, eos_token="<|endoftext|>",
                                        bos_token="<|begin_of_text|>", pad_token="<|endoftext|>")
    with open(template_file, encoding="utf-8") as stream:
        tokenizer.chat_template = stream.read()
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, n_positions=8))
    with open(lines, encoding="utf-8") as stream:
        rows: list[dict[str, Any]] = [json.loads(line) for line in stream]
    for row in rows:  # a data set of one line each: lines of different forms are no table
        with tempfile.TemporaryDirectory() as folder:
            arguments = SFTConfig(output_dir=folder, max_length=None, report_to=[], use_cpu=True, bf16=False,
                                  assistant_only_loss="messages" in row,
                                  completion_only_loss=True if "prompt" in row else None)
            trainer = SFTTrainer(model=model, args=arguments, train_dataset=Dataset.from_list([row]),
                                 processing_class=tokenizer)
            done = trainer.train_dataset[0]
        print(json.dumps({"ids": done["input_ids"], "labels": done["labels"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
