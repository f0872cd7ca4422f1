"""The start of a recipe: the packaged ones explained, and a commented file to begin from."""
