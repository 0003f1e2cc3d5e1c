"""What the lectures work out by hand, as code that can be run and checked."""
