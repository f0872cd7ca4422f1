"""`curate ui`: a run to look at in a browser, on this machine alone and read-only."""
