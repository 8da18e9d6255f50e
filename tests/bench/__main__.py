"""`python -m tests.bench [NAME...] [--peers PYTHON] [--repeat N] [--scale X] [--json FILE] [--list]`.

Contenders run in turns (A B A B), whole commands, each in a fresh scratch folder; a row of the table
is the median. `--peers` is the Python of an environment with tests/bench/requirements.txt:

    python3 -m venv peers && peers/bin/pip install -r tests/bench/requirements.txt
    python -m tests.bench --peers peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from tests.bench import machine
from tests.bench.report import as_data, as_table, rows
from tests.bench.runs import measured, scratch
from tests.bench.workloads import Workloads


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    peers = os.path.abspath(options.peers) if options.peers else None  # it runs in other folders
    if peers and not os.access(peers, os.X_OK):
        parser.error(f"--peers: there is no Python at {options.peers}")
    chosen = {workload.name: workload for workload in Workloads(options.scale, peers).all()}
    for name in options.names:
        if name not in chosen:
            parser.error(f"there is no workload '{name}': choose from {', '.join(chosen)}")
    if options.list:
        print("\n".join([f"{name:<16} {workload.about}" for name, workload in chosen.items()]))
        return
    about = machine.describe()
    about["peers"] = machine.peer_versions(peers) if peers else None
    for key, value in about.items():
        print(f"{key}: {value}")
    documents = []
    with scratch() as folders:
        for name in options.names or chosen:
            found = rows(chosen[name], measured(chosen[name], folders, options.repeat))
            print("", *as_table(chosen[name], found, judged=options.scale == 1), sep="\n", flush=True)
            documents.append({**as_data(chosen[name], found), "load_average": os.getloadavg()})
            if options.json:  # after each: what is measured is not lost
                Path(options.json).write_text(json.dumps({"machine": about, "workloads": documents}, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="labtech beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads; all by default")
    parser.add_argument("--list", action="store_true", help="name the workloads, run nothing")
    parser.add_argument("--peers", metavar="PYTHON", help="the Python of an environment with the peers")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs of each contender (3)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="multiply all sizes (1)")
    parser.add_argument("--json", metavar="FILE", help="write the measurements, too")
    return parser


if __name__ == "__main__":
    main()
