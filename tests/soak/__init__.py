"""Faults put into real trainings, at random and at length: `python -m tests.soak --minutes 30 --seed 1 --json FILE`.

A fault is a function in the module of its part (interruption.py: processes that end too early). frame.py finds and
repeats them, children.py starts and ends their processes, runs.py trains and compares. tests/test_soak.py has a few
trials of each in the default suite.
"""
