"""Results taken a few at a time, so that what is held in memory has a bound, however large the storage is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labtech_cli.store.records import Row

MOST, MOST_BYTES = 500, 64 << 20


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The results in order, at most `MOST` and about `MOST_BYTES` at a time; a larger one comes alone."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        if batch and (len(batch) == MOST or size + row.size > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.size
    if batch:
        yield batch
