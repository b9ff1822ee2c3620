"""A report on any set of runs: tables, figures and a page; what has not ended is named and never averaged over."""
