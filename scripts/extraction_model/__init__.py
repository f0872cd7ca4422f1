"""Learning the extractor's model, which curate/extraction ships, from pages with gold text."""
