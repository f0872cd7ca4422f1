"""`curate card`: the papers of a dataset, written from what its run knows."""
