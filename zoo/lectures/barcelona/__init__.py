"""Barcelona (X. Giró-i-Nieto): recurrent networks; every claim of the slides, computed.

recurrence  R01-R12  recurrence and back-propagation through time
gates       R13-R21  gates, and what gated networks are used for
"""

from zoo.lectures.barcelona import gates, recurrence

__all__ = ["recurrence", "gates"]
