"""`curate report`: a run on one page that can be opened anywhere, and its numbers as JSON."""
