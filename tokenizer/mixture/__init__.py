"""Which tokens of which source are taken, and how often."""
