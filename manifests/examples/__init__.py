"""Programs that use a packed dataset as a trainer would."""
