"""One file per network that a lecture names; each reads top to bottom."""
