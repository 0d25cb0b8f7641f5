"""``qsmbids-atlas list`` and ``info``: which atlases there are, and what one of them is."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids.atlas import sources
from qsmbids.cli import exit_codes
from qsmbids.cli.atlas_fetch import acknowledgement, add_cache_option

if TYPE_CHECKING:
    from qsmbids.atlas.dataset import Atlas
    from qsmbids.atlas.sources import Source


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add both commands to the parser."""
    listing = subparsers.add_parser(
        'list',
        help='what is there, and what can be fetched',
        description='List the atlases that --atlas NAME knows, and those that can be fetched. '
        'A folder in the cache that cannot be used is listed with the reason.',
        allow_abbrev=False,
    )
    add_cache_option(listing)
    listing.set_defaults(run=run_list)
    info = subparsers.add_parser(
        'info',
        help='ages, regions, licence and origin of an atlas',
        description='Describe an atlas and check it whole, with every image. Exit code 65: it '
        'cannot be used.',
        epilog='examples:\n  qsmbids-atlas info QSMLifespan\n  qsmbids-atlas info ./my-atlas\n',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    info.add_argument('name', metavar='NAME|PATH', help='an atlas of `list`, or a folder')
    add_cache_option(info)
    info.set_defaults(run=run_info)


def run_list(args: argparse.Namespace) -> int:
    """Print the table of atlases."""
    from qsmbids.atlas.store import list_atlases

    entries = list_atlases(args.atlas_cache)
    rows = [('name', 'kind', 'ages', 'regions', 'licence', 'where')]
    for entry in entries:
        where = str(entry.folder) if entry.folder else 'in the program'
        if entry.problem:
            rows.append((entry.name, f'{entry.kind}, BROKEN', '-', '-', '-', where))
        else:
            licence = _short(entry.licence)
            count = str(entry.n_regions)
            rows.append((entry.name, entry.kind, entry.ages, count, licence, where))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print('  '.join(f'{cell:{w}}' for cell, w in zip(row, widths, strict=True)).rstrip())
    for entry in entries:
        if entry.problem:
            print(f'\n{entry.name} cannot be used: {entry.problem}')
    absent = [s for s in sources.SOURCES.values() if s.name not in {e.name for e in entries}]
    if absent:
        print('\ncan be fetched with `qsmbids-atlas fetch NAME`:')
    for source in absent:
        print(f'  {source.name}: {source.summary}; {_short(source.licence)}')
    return exit_codes.OK


def run_info(args: argparse.Namespace) -> int:
    """Describe an atlas: one that is there, or one that can be fetched."""
    from qsmbids.atlas import builtin
    from qsmbids.atlas.dataset import open_atlas
    from qsmbids.atlas.images import check_whole
    from qsmbids.atlas.store import find_atlas, find_cached

    name = args.name
    to_fetch = name in sources.SOURCES and not Path(name).is_dir()
    if to_fetch and find_cached(name, args.atlas_cache) is None:
        _print_source(sources.SOURCES[name])
        print(f'\nnot fetched yet: qsmbids-atlas fetch {name}')
        return exit_codes.OK
    with tempfile.TemporaryDirectory() as temporary:
        folder = find_atlas(name, args.atlas_cache, Path(temporary))
        atlas = open_atlas(folder)
        inside = atlas.name == builtin.NAME and folder.is_relative_to(temporary)
        _print_atlas(atlas, 'in the program, written to the work folder' if inside else folder)
        if inside:
            print('not checked: its images are made when they are needed')
            return exit_codes.OK
    for cohort in atlas.cohorts:
        for path in vars(atlas.files(cohort.label)).values():
            if path is not None:
                check_whole(path)
    print(f'checked: the images of all {len(atlas.cohorts)} cohorts fit')
    return exit_codes.OK


def _print_source(source: Source) -> None:
    print(f'{source.name}: {source.summary}')
    print(f'ages:        {source.ages}')
    print(f'regions:     {source.regions}')
    print(f'licence:     {source.licence}')
    print(f'please cite: {source.citation}. https://doi.org/{source.doi}')
    print('files:')
    for file in source.files:
        print(f'  {file.name}\n    {source.address(file)}\n    sha256 {file.sha256}')


def _print_atlas(atlas: Atlas, where: Path | str) -> None:
    from qsmbids.atlas.store import UNKNOWN_LICENCE, describe_ages, read_source

    about, noted = atlas.description, read_source(atlas.root)
    print(f'{atlas.name} {about.get("Version", "")}'.rstrip())
    print(f'where:       {where}')
    print(f'licence:     {about.get("License") or noted.get("License") or UNKNOWN_LICENCE}')
    print(f'please cite: {acknowledgement(atlas) or "not stated"}')
    print(f'ages:        {describe_ages(atlas.cohorts)}')
    for cohort in atlas.cohorts:
        print(f'  cohort {cohort.label:>3}  {cohort.interval:10} years  {cohort.name}')
    for sentence in atlas.findings:
        print(f'  note: {sentence}')
    groups = Counter(label.group or 'no group' for label in atlas.labels)
    print(f'regions:     {len(atlas.labels)}')
    for group, count in groups.items():
        print(f'  {count:4} {group}')
    for reference in about.get('ReferencesAndLinks', []):
        print(f'reference:   {reference}')
    for file in noted.get('Files', []):
        print(f'made from:   {file["URL"]}\n             sha256 {file["SHA256"]}')
    if noted:
        version = noted.get('QsmbidsVersion', 'unknown')
        print(f'fetched:     {noted.get("Date", "unknown")}, by qsmbids {version}')


def _short(licence: str) -> str:
    """Return the name of a licence without its address, for a table."""
    return licence.partition(' (http')[0]
