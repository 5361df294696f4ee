"""Pages that show attention in a browser; each is one file that needs no network."""
