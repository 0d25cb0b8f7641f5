"""The group level: tables and a page over all participants."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from qsmbids import __version__
from qsmbids.cli import exit_codes
from qsmbids.config import Config

_SHOWN = 20  # lines of each kind on the terminal


def run_group_level(config: Config) -> int:
    """Merge the participants' tables, analyse them, and return the exit code."""
    from qsmbids.group.run import NothingFoundError, run_group

    begin = time.monotonic()

    def tell(text: str) -> None:
        print(f'  [{time.monotonic() - begin:5.0f} s] {text}', flush=True)

    print('\nGroup level')
    try:
        result = run_group(
            config.output_dir,
            bids_dir=config.bids_dir,
            participant_labels=config.participant_labels,
            version=__version__,
            options=config.group,
            norms=config.norms,
            nprocs=config.nprocs,
            tell=tell,
        )
    except NothingFoundError as error:
        print(error, file=sys.stderr)
        return exit_codes.NOTHING_USABLE
    print(f'{result.n_rows} rows merged, {result.n_curves} regions with an age curve.')
    _print_some('missing', result.missing)
    for severity in ('error', 'warning', 'note'):
        _print_some(severity, [p for p in result.problems if p.severity == severity])
    print(f'Open {config.output_dir / "group.html"}')
    code = exit_codes.SOME_FAILED if result.failed else exit_codes.OK
    return max(code, _build_atlas(config)) if config.build_atlas else code


def _print_some(kind: str, entries: Sequence[object]) -> None:
    """Print the first few; the page and the tables have all."""
    for entry in entries[:_SHOWN]:
        print(f'  {kind}: {entry}')
    if len(entries) > _SHOWN:
        print(f'  {kind}: and {len(entries) - _SHOWN} more, see group.html')


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
