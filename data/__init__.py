"""Data files; a package so that a wheel carries the small sets of our own."""
