"""Characters, words and strings: what kernels of several packages share."""
