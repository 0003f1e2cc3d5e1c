"""Prague (P. Pošík): deep learning; every claim of the slides, computed.

words         C01-C12  what deep learning is; words as vectors
depth         C13-C20  deep or shallow, and why deep is difficult
autoencoders  C21-C24  autoencoders, layer by layer
convolution   C25-C37  convolutional layers
networks      C38-C53  convolutional networks, from Nielsen's to ResNet
recurrence    C54-C65  recurrent networks, and the rest
"""

from zoo.lectures.prague import autoencoders, convolution, depth, networks, recurrence, words

__all__ = ["words", "depth", "autoencoders", "convolution", "networks", "recurrence"]
