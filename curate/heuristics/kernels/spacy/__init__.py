"""English words as spaCy's tokenizer cuts them, compiled."""
