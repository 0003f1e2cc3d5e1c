"""Draws data/pass_class.csv: `python data/draw_pass_class.py > data/pass_class.csv`.

The lecture's figures are lost, so this set is ours. A student attends 0..8 lectures and works 0..10 hours on the
project, both uniform; what goes beyond 6 lectures or 8 hours helps no more. The chance of passing is
sigmoid(2.5 * (min(lectures, 6) / 2 + min(hours, 8) / 2 - 3.5)), and a coin with that chance decides.
"""

import math
import random

COUNT = 1500


def chance(lectures: float, hours: float) -> float:
    """Probability of passing."""
    score = min(lectures, 6) / 2 + min(hours, 8) / 2 - 3.5
    return 1 / (1 + math.exp(-2.5 * score))


if __name__ == "__main__":
    dice = random.Random(2026)
    print("# Ours: drawn by data/draw_pass_class.py, which says how; chance is the probability the coin had.")
    print("lectures,hours,chance,passed")
    for _ in range(COUNT):
        lectures, hours = dice.randint(0, 8), round(dice.uniform(0, 10), 1)
        p = chance(lectures, hours)
        print(f"{lectures},{hours},{p:.4f},{int(dice.random() < p)}")
