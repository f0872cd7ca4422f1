"""The quality classifier: links people voted for teach it, and GPT-3's rule keeps pages by its score."""
