"""From config nodes to checked objects, and one line for every mistake."""
