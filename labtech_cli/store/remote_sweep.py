"""What dead runs left in a storage without a database, and when it is sure that nobody needs it."""

from __future__ import annotations

from labtech_cli.store.manifests import key_of
from labtech_cli.store.places import Place
from labtech_cli.store.remote_index import Index
from labtech_cli.store.remote_runs import GRACE, Runs


def sweep_data(place: Place, runs: Runs, index: Index) -> None:
    """Remove data that no manifest names.

    Listed are the data first, then the runs, then the manifests: data of a run that was there before is
    seen with its run, and the data of one that left with its manifest. `grace` covers shared folders
    whose listings lag behind, and what manifests we cannot read name is let be.
    """
    found = place.find("data")
    aside = place.find("staged") | place.find("probe")
    if not (found or aside) or runs.others():
        return
    named = {name for manifest in index.results.all().values() for name in manifest.objects}
    odd = index.results.odd()
    now = place.now()
    rubbish = [name for name in found if name not in named and _key(name) not in odd]
    rubbish = [name for name in rubbish if found[name].time <= now - GRACE]
    place.remove(rubbish + [name for name, stamp in aside.items() if stamp.time <= now - GRACE])


def _key(name: str) -> str:
    """The key in the name of a data object."""
    folder = name.split("/")[2] if name.count("/") > 2 else ""
    key = folder.partition(".")[0]
    return key if key_of(f"data/{key[:2]}/{key}.json") else ""
