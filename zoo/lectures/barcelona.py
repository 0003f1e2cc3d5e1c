# fmt: off
"""Barcelona (X. Giró-i-Nieto): recurrent networks; every claim of the slides, computed."""
