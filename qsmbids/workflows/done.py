"""Which acquisitions are finished: their graphs are then not even built.

After a complete acquisition a stamp goes into the output folder, beside the records. It holds
a checksum of everything that decides the outputs (`qsmbids.workflows.ingredients`), the same
in readable form, so that a person can see what has changed since, and the size of each file.
A run finds an acquisition finished when the checksum is that of its own settings and input
and every file is there in that size. The work folder plays no part, so it may be emptied.

Nothing here imports Nipype: a run that finds everything finished ends within seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbids.bids import names as bids_names
from qsmbids.bids.cosmos import PART as COSMOS
from qsmbids.bids.cosmos import cosmos_names
from qsmbids.bids.write import write_json
from qsmbids.config import Config
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.ingredients import checksum, ingredients, plain
from qsmbids.workflows.outcome import promised_names

if TYPE_CHECKING:
    from qsmbids.workflows.outcome import Outcome

PART = 'done'  # in the name of the stamp, like the parts of the records
FORMAT = 1  # of the stamp; another one is not read
_RECORDS = ('recon', 'extras', 'atlas', 'markings', COSMOS)

# output folder and key to the checksum that an acquisition had when it was last asked about
_at_start: dict[tuple[str, str], str] = {}


def fingerprint(acquisition: Acquisition | CosmosGroup, config: Config, cohort: str) -> str:
    """Return a checksum of everything that decides the outputs of an acquisition.

    Settings, version, atlas, what the plan found, and size and time of each input file; not
    where dataset and work folder lie, nor processors, memory, labels or verbosity.
    """
    return checksum(ingredients(acquisition, config, cohort))


def is_done(acquisition: Acquisition | CosmosGroup, config: Config, cohort: str) -> bool:
    """Return whether an acquisition is finished, with these settings and this input."""
    now = fingerprint(acquisition, config, cohort)
    _at_start[str(config.output_dir), acquisition.key] = now
    return _stamp_holds(acquisition, config, cohort, now)


def mark_done(outcome: Outcome, config: Config, cohort: str) -> bool:
    """Write the stamp of a complete acquisition; return whether it is now finished.

    It is not when something is missing, and not when its input has changed since `is_done`
    was asked: nobody knows which state of it the outputs were made from.
    """
    acquisition = outcome.acquisition
    found = ingredients(acquisition, config, cohort)
    now = checksum(found)
    before = _at_start.get((str(config.output_dir), acquisition.key), now)
    if not outcome.complete or now != before:
        forget(acquisition, config)
        return False
    out = config.output_dir
    files = _files(acquisition, outcome.names, out)
    sizes = {name: (out / name).stat().st_size for name in files}
    content = {'format': FORMAT, 'fingerprint': now, 'files': sizes, 'ingredients': found}
    # through JSON and back, because sidecars of scanners may hold NaN
    write_json(stamp_path(acquisition, config), _without_nan(content))
    return True


def forget(acquisition: Acquisition | CosmosGroup, config: Config) -> None:
    """Remove the stamp, before the outputs are made anew.

    Otherwise a run that is stopped half-way would leave outputs of two kinds under the stamp
    of the older.
    """
    stamp_path(acquisition, config).unlink(missing_ok=True)


def stamp_path(acquisition: Acquisition | CosmosGroup, config: Config) -> Path:
    """Return the path of the stamp: ``sub-X/log/<key>_done.json``."""
    name = bids_names.record_path(acquisition.participant, acquisition.key, PART)
    return config.output_dir / name


def _stamp_holds(
    acquisition: Acquisition | CosmosGroup, config: Config, cohort: str, now: str
) -> bool:
    try:
        stamp = json.loads(stamp_path(acquisition, config).read_text(encoding='utf-8'))
        sizes = stamp['files']
        if stamp['format'] != FORMAT or stamp['fingerprint'] != now:
            return False
        promised = bids_names.with_sidecars(_names(acquisition, config, cohort).values())
        if not set(promised) <= sizes.keys():
            return False
        return all(_size(config.output_dir / name) == n for name, n in sizes.items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False  # absent, or not a stamp


def _names(acquisition: Acquisition | CosmosGroup, config: Config, cohort: str) -> dict[str, str]:
    if isinstance(acquisition, CosmosGroup):
        return cosmos_names(acquisition)
    return promised_names(acquisition, config, cohort)


def _files(acquisition: Acquisition | CosmosGroup, names: Any, out: Path) -> list[str]:
    """Return the promised files, the records and the figures, as far as they belong to it."""
    found = set(bids_names.with_sidecars(names.values()))
    for part in _RECORDS:
        record = bids_names.record_path(acquisition.participant, acquisition.key, part)
        try:
            content = json.loads((out / record).read_text(encoding='utf-8'))
        except (OSError, ValueError):
            continue  # that part was not wanted
        if content.get('names', {}).items() <= dict(names).items():  # not of an earlier run
            found |= {record, *(figure['path'] for figure in content.get('figures', ()))}
    return sorted(found)


def _size(path: Path) -> int:
    return path.stat().st_size


def _without_nan(content: Any) -> Any:
    """Return the content with words for numbers that JSON does not have, and plain values."""
    text = json.dumps(content, default=plain)
    return json.loads(text, parse_constant=str)
