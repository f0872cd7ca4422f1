"""Lines tokenised by axolotl's chat template strategy, with its masks: run by the Python of an environment that has it.

    python tokenize_by_axolotl.py TOKENIZER.json TEMPLATE.jinja LINES.jsonl > ids.jsonl

A line of the result: {"ids": [...], "labels": [...]}; -100 where nothing is learned."""

from __future__ import annotations

import json
import sys

from axolotl.prompt_strategies.chat_template import ChatTemplatePrompter, ChatTemplateStrategy
from transformers import PreTrainedTokenizerFast


def main(tokenizer_file: str, template_file: str, lines: str) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=tokenizer_file, eos_token="<|endoftext|>",
                                        bos_token="<|begin_of_text|>", pad_token="<|endoftext|>")
    with open(template_file, encoding="utf-8") as stream:
        template = stream.read()
    prompter = ChatTemplatePrompter(tokenizer, template, message_field_training="train")
    strategy = ChatTemplateStrategy(prompter, tokenizer, train_on_inputs=False, sequence_len=8192,
                                    roles_to_train=["assistant"], train_on_eos="turn", eot_tokens=["<|im_end|>"])
    with open(lines, encoding="utf-8") as stream:
        for line in stream:
            done = strategy.tokenize_prompt(json.loads(line))
            print(json.dumps({"ids": done["input_ids"], "labels": done["labels"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
