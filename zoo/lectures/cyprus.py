# fmt: off
"""Cyprus: from the neuron to recurrent networks; every claim of the slides, computed."""
