"""The group level: tables and a page over all participants."""

from __future__ import annotations

import sys

from qsmbids import __version__
from qsmbids.cli import exit_codes
from qsmbids.config import Config


def run_group_level(config: Config) -> int:
    """Merge the participants' tables and return the exit code."""
    from qsmbids.group import NothingFoundError, run_group

    table = config.bids_dir / 'participants.tsv'
    try:
        result = run_group(
            config.output_dir,
            participants_tsv=table if table.is_file() else None,
            participant_labels=config.participant_labels,
            version=__version__,
        )
    except NothingFoundError as error:
        print(error, file=sys.stderr)
        return exit_codes.NOTHING_USABLE
    print(f'\nGroup level: {result.n_rows} rows merged.')
    for missing in result.missing:
        print(f'  missing: {missing}')
    print(f'Open {config.output_dir / "group.html"}')
    return exit_codes.OK
