"""What an evaluation leaves for a reader: rows of figures, the manifest, a table, a page."""
