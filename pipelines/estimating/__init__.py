"""What a run would take: a stateless sample of its input goes through the real stages, and is extrapolated."""
