"""The labtech library, fork pool, two workers."""

import sys

import labtech


@labtech.task
class Double:
    n: int

    def run(self):
        return self.n * 2


if __name__ == "__main__":
    lab = labtech.Lab(storage="labtech_cache", max_workers=2)
    lab.run_tasks([Double(number) for number in range(int(sys.argv[1]))], disable_progress=True, disable_top=True)
