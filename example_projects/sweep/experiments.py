"""A parameter grid from the command line: how well simple rules integrate the sine from 0 to pi."""

from __future__ import annotations

import math
import random
import time
from enum import Enum

import labtech_cli as labtech

EXACT = 2.0


class Rule(Enum):
    """How the area is measured."""

    MIDPOINT = "midpoint"
    TRAPEZOID = "trapezoid"
    SIMPSON = "simpson"
    MONTE_CARLO = "monte carlo"


@labtech.task
class Integral:
    """The area under the sine from 0 to pi, and how far from 2 it is.

    Simpson's rule fails for an odd number of intervals; Monte Carlo with 100,000 or more takes two seconds.
    """

    rule: Rule = Rule.TRAPEZOID
    intervals: int = 8
    seed: int = 42

    def run(self) -> dict[str, float]:
        area = {
            Rule.MIDPOINT: self._midpoint,
            Rule.TRAPEZOID: self._trapezoid,
            Rule.SIMPSON: self._simpson,
            Rule.MONTE_CARLO: self._monte_carlo,
        }[self.rule]()
        labtech.logger.info(f"{self.rule.value} with {self.intervals} intervals: {area:.6f}")
        return {"area": area, "error": abs(area - EXACT)}

    @property
    def _width(self) -> float:
        return math.pi / self.intervals

    def _midpoint(self) -> float:
        return self._width * math.fsum(math.sin((i + 0.5) * self._width) for i in range(self.intervals))

    def _trapezoid(self) -> float:
        return self._width * math.fsum(math.sin(i * self._width) for i in range(1, self.intervals))

    def _simpson(self) -> float:
        if self.intervals % 2:
            raise ValueError(f"Simpson's rule needs an even number of intervals, not {self.intervals}")
        weighted = (math.sin(i * self._width) * (4 if i % 2 else 2) for i in range(1, self.intervals))
        return self._width / 3 * math.fsum(weighted)

    def _monte_carlo(self) -> float:
        if self.intervals >= 100_000:
            time.sleep(2)  # stands for work that takes long
        draws = random.Random(self.seed)
        return self._width * math.fsum(math.sin(draws.uniform(0, math.pi)) for _ in range(self.intervals))


def convergence(rule: Rule = Rule.SIMPSON, doublings: int = 4) -> list[Integral]:
    """One rule with 2, 4, 8, ... intervals."""
    return [Integral(rule=rule, intervals=2**power) for power in range(1, doublings + 1)]
