"""Between the command line and the objects: composing, checking, building, and one line for every mistake."""
