"""Bombay (G. Ramakrishnan): convolution and recurrence as building blocks; every claim of the slides, computed.

convolution  I01-I10  convolution, strides, sizes
pooling      I11-I20  pooling, AlexNet, exercises
recurrence   I21-I30  from chains to recurrent language models
time         I31-I38  the worked example, and what happens over time
"""

from zoo.lectures.bombay import convolution, pooling, recurrence, time

__all__ = ["convolution", "pooling", "recurrence", "time"]
