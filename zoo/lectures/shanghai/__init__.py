"""Shanghai: deep learning from the perceptron to attention; every claim of the slides, computed.

neurons       S01-S09  perceptrons and activations
training      S10-S17  losses, and going downhill
optimisation  S18-S25  learning rates, batches, over-fitting
sequences     S26-S33  sequences, recurrence, words
memory        S34-S41  gradients through time, gates, applications
attention     S42-S47  self-attention
vision        S48-S60  pictures and convolution
"""

from zoo.lectures.shanghai import attention, memory, neurons, optimisation, sequences, training, vision

__all__ = ["neurons", "training", "optimisation", "sequences", "memory", "attention", "vision"]
