"""fastText's arithmetic, compiled."""
