"""Web pages in, clean documents out."""
