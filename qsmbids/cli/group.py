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
    return _build_atlas(config) if config.build_atlas else exit_codes.OK


def _build_atlas(config: Config) -> int:
    """Build an atlas of the participants; tables and page are there whatever comes of it."""
    from qsmbids.atlas.errors import AtlasError
    from qsmbids.cli.atlas_build import build_from_derivatives

    print(f'\nBuilding the atlas {config.build_atlas}')
    try:
        return build_from_derivatives(
            config.output_dir, name=config.build_atlas, licence=config.atlas_licence,
            work_dir=config.work_dir / 'build_atlas', out=config.output_dir / 'atlases',
            atlas_cache=config.atlas_cache, nprocs=config.nprocs, mem_gb=config.mem_gb,
            seed=config.random_seed, plugin_file=config.plugin_file, verbose=config.verbose,
            replace=True,
        )  # fmt: skip
    except AtlasError as error:
        print(error, file=sys.stderr)
        return exit_codes.SOME_FAILED
