# fmt: off
"""Shanghai: deep learning from the perceptron to attention; every claim of the slides, computed."""
