"""Where the rows of a task come from: files, the hub, or a generator."""
