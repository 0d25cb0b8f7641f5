"""``qsmbids-atlas show``: a picture of template and labels."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids.cli import exit_codes
from qsmbids.cli.atlas_fetch import add_cache_option

if TYPE_CHECKING:
    from qsmbids.atlas.cohorts import Cohort
    from qsmbids.atlas.dataset import Atlas


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        'show',
        help='a picture of template and labels',
        description='Draw susceptibility and structural template with the regions, in three '
        'planes through the deep grey matter, one row for each age bin (default: the youngest, '
        'the middle and the oldest).',
        epilog='example:\n  qsmbids-atlas show QSMLifespan --age 8 --age 70 -o atlas.png\n',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('name', metavar='NAME|PATH', help='an atlas of `list`, or a folder')
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument('--cohort', action='append', metavar='N', help='an age bin; repeatable')
    chosen.add_argument(
        '--age', action='append', type=float, metavar='YEARS', help='its age bin; repeatable'
    )
    parser.add_argument(
        '-o', '--output', type=Path, metavar='FILE', help='PNG file (default: NAME.png here)'
    )
    add_cache_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw the picture and say where it is."""
    with tempfile.TemporaryDirectory() as temporary:
        # before anything imports matplotlib, which would keep its list of fonts in HOME
        os.environ.setdefault('MPLCONFIGDIR', f'{temporary}/matplotlib')
        from qsmbids.atlas import builtin
        from qsmbids.atlas.dataset import open_atlas
        from qsmbids.atlas.picture import draw_atlas
        from qsmbids.atlas.store import find_atlas

        folder = find_atlas(args.name, args.atlas_cache, Path(temporary))
        atlas = open_atlas(folder)
        cohorts = chosen_cohorts(atlas, args.cohort, args.age)
        if folder.is_relative_to(temporary):  # the built-in one, whose images are made on demand
            builtin.write_builtin(folder.parent, [cohort.label for cohort in cohorts])
        path = draw_atlas(atlas, cohorts, args.output or Path(f'{atlas.name}.png'))
    print(path)
    return exit_codes.OK


def chosen_cohorts(
    atlas: Atlas, labels: list[str] | None, ages: list[float] | None
) -> list[Cohort]:
    """Return the age bins asked for, each once; by default youngest, middle and oldest.

    Raises
    ------
    AtlasError
        If there is no such cohort or age.
    """
    from qsmbids.atlas.cohorts import pick_cohort
    from qsmbids.atlas.errors import AtlasError
    from qsmbids.atlas.picture import pick_cohorts

    if labels:
        known = {cohort.label: cohort for cohort in atlas.cohorts}
        unknown = [label for label in labels if label not in known]
        if unknown:
            raise AtlasError(
                f'the atlas {atlas.name} has no cohort {", ".join(unknown)}.',
                'A cohort is an age bin.',
                f'Use one of: {", ".join(f"{c.label} {c.interval}" for c in atlas.cohorts)}.',
            )
        return list(dict.fromkeys(known[label] for label in labels))
    if ages:
        try:
            picked = [pick_cohort(atlas.cohorts, age) for age in ages]
        except ValueError as error:
            raise AtlasError(*str(error).split('\n')) from None
        for note in (note for _, note in picked if note):
            print(note)
        return list(dict.fromkeys(cohort for cohort, _ in picked))
    return list(pick_cohorts(atlas))
