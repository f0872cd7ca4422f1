"""Questions about a run on disk: look-ups by an index, samples, counts, comparisons. Nothing here changes an output."""
