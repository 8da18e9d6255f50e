"""Three steps, each using the result of the one before: make a signal, smooth it, find its peak."""

from __future__ import annotations

import math
import random
from typing import TypedDict

import labtech_cli as labtech


class Peak(TypedDict):
    position: int
    height: float


@labtech.task
class StepA:
    """A noisy wave."""

    seed: int
    points: int = 200

    def run(self) -> list[float]:
        noise = random.Random(self.seed)
        return [math.sin(math.pi * i / self.points) + noise.gauss(0, 0.2) for i in range(self.points)]


@labtech.task
class StepB:
    """The signal of step A as a moving average."""

    step_a: StepA
    window: int

    def run(self) -> list[float]:
        signal = self.step_a.result
        labtech.logger.info(f"smoothing {len(signal)} points over {self.window}")
        return [math.fsum(signal[i : i + self.window]) / self.window for i in range(len(signal) - self.window + 1)]


@labtech.task
class StepC:
    """Where the signal of step B is highest."""

    step_b: StepB

    def run(self) -> Peak:
        signal = self.step_b.result
        height = max(signal)
        return {"position": signal.index(height), "height": height}


# Four pipelines in pairs that share a step A, which runs once.
first_steps = [StepA(seed=seed) for seed in (1, 2)]
pipelines = [StepC(step_b=StepB(step_a=step_a, window=window)) for step_a in first_steps for window in (5, 25)]


def main() -> None:
    """Show every step of the pipelines: what it returned, when it ran, how long it took."""
    lab = labtech.Lab.from_config()
    lab.run_tasks(pipelines, disable_progress=True)
    for step_c in pipelines:
        for step in (step_c.step_b.step_a, step_c.step_b, step_c):
            shown = step.result if isinstance(step, StepC) else f"{len(step.result)} points"
            meta = step.result_meta
            print(
                f"{step}: {shown}, started {meta.start:%Y-%m-%d %H:%M:%S}, took {meta.duration.total_seconds():.3f} s"
            )


if __name__ == "__main__":
    main()
