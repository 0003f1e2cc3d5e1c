"""Cyprus: from the neuron to recurrent networks; every claim of the slides, computed.

neurons         U01-U10  neurons, layers, and what they can tell apart
training        U11-U15  how they are trained
representation  U16-U27  representations, depth, and what inputs have in common
convolution     U28-U36  convolutional networks
recurrence      U37-U49  time, and recurrent networks
"""

from zoo.lectures.cyprus import convolution, neurons, recurrence, representation, training

__all__ = ["neurons", "training", "representation", "convolution", "recurrence"]
