"""Training a byte-level BPE."""
