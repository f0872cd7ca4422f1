"""Clean documents in, packed rows out: training a BPE, encoding, mixing sources to exact token budgets, packing."""
