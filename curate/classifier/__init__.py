"""Quality: a classifier trained on pages that people recommended, and the scores it gives."""
