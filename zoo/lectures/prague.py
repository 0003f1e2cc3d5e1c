# fmt: off
"""Prague (P. Pošík): deep learning; every claim of the slides, computed."""
