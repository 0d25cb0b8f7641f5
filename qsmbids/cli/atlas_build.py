"""``qsmbids-atlas build``: an age-specific atlas from the maps of a cohort."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsmbids.atlas.build.groups import DEFAULT_MIN_PEOPLE, age_groups, find_people
from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.builtin import cohort_bins
from qsmbids.atlas.errors import AtlasError
from qsmbids.cli import exit_codes
from qsmbids.cli.atlas_fetch import add_cache_option
from qsmbids.cli.execution_options import memory_gb
from qsmbids.config import DEFAULT_SEED

if TYPE_CHECKING:
    from qsmbids.workflows.build_graph import BuildRequest

DEFAULT_ROUNDS = 4
DEFAULT_RESOLUTION_MM = 1.0
_DESCRIPTION = """\
Build an atlas from the output folder of qsmbids participant. People are sorted into age groups
and averaged within each group (group-wise registration of hybrid images of susceptibility and
structure, with shape update); the groups are then brought to one common space, labels are
carried in from another atlas, and regions that you drew are laid over them."""
_EPILOG = """\
A build that was stopped goes on where it was when the same command is given again, as long as
the work folder is kept.

examples:
  qsmbids-atlas build out --name MyCohort --license "internal use" --dry-run
  qsmbids-atlas build out --name MyCohort --license CC-BY-4.0 --bins 8 21 41 61 84 -w work
  qsmbids-atlas build out --name MyCohort --license CC-BY-4.0 --bins 8 21 41 61 84 -w work \\
      --deep-grey drawn_dseg.nii.gz --replace
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        'build',
        help='build an age-specific atlas from a cohort',
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('derivatives', type=Path, metavar='DERIVATIVES', help='maps of the people')
    parser.add_argument('--name', required=True, help='letters and digits; for --atlas NAME')
    parser.add_argument(
        '--license', required=True, metavar='TEXT', dest='licence',
        help='terms of use of the new atlas; mind those of the maps and of --labels-from',
    )  # fmt: skip
    _add_people(parser.add_argument_group('who'))
    _add_steps(parser.add_argument_group('how'))
    _add_running(parser.add_argument_group('where, and how to run'))
    parser.set_defaults(run=run)


def _add_people(group: argparse._ArgumentGroup) -> None:
    edges = _default_bins()
    group.add_argument(
        '--bins', type=float, nargs='+', default=edges, metavar='YEARS',
        help='limits of the age groups, ascending (default: '
        f'{" ".join(f"{edge:g}" for edge in edges)})',
    )  # fmt: skip
    group.add_argument(
        '--min-n', type=int, default=DEFAULT_MIN_PEOPLE, metavar='N', dest='min_people',
        help='groups with fewer people are joined to a neighbour or left out '
        f'(default: {DEFAULT_MIN_PEOPLE})',
    )  # fmt: skip
    group.add_argument(
        '--t1w', type=Path, metavar='BIDS_DIR',
        help='folder with a T1w image of each person; it then leads the registration in place '
        'of the gradient-echo magnitude',
    )  # fmt: skip
    group.add_argument(
        '--anonymous', action='store_true', help='write no labels of people into the atlas'
    )


def _add_steps(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--iterations', type=int, default=DEFAULT_ROUNDS, metavar='N', dest='rounds',
        help=f'rounds of deformable registration (default: {DEFAULT_ROUNDS})',
    )  # fmt: skip
    group.add_argument(
        '--resolution', type=float, default=DEFAULT_RESOLUTION_MM, metavar='MM',
        help=f'voxel size of the atlas (default: {DEFAULT_RESOLUTION_MM:g})',
    )  # fmt: skip
    group.add_argument(
        '--labels-from', default=BUILTIN, metavar='ATLAS',
        help=f'atlas whose labels are carried in: name or folder (default: {BUILTIN})',
    )  # fmt: skip
    group.add_argument(
        '--deep-grey', type=Path, metavar='DSEG',
        help='regions drawn on the templates of a first build, with a label table beside; they '
        'win over carried labels',
    )  # fmt: skip
    group.add_argument(
        '--seed', type=int, default=DEFAULT_SEED, metavar='N',
        help='equal seeds give equal atlases',
    )  # fmt: skip


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '-o', '--out', type=Path, metavar='PATH',
        help='the atlas will be PATH/NAME (default: the atlas cache)',
    )  # fmt: skip
    add_cache_option(group)
    group.add_argument('--replace', action='store_true', help='replace an atlas of that name')
    group.add_argument(
        '-w', '--work-dir', type=Path, default=Path('work'), metavar='PATH',
        help='intermediate files; keep it to resume (default: ./work)',
    )  # fmt: skip
    group.add_argument('--nprocs', type=int, metavar='N', help='processors (default: all)')
    group.add_argument(
        '--mem', type=memory_gb, metavar='SIZE', dest='mem_gb',
        help='memory: a bare number is MB, or with K, M, G, T (default: what is free)',
    )  # fmt: skip
    group.add_argument(
        '--use-plugin', type=Path, metavar='FILE', dest='plugin_file',
        help='YAML with plugin and plugin_args for Nipype, e.g. for a cluster',
    )  # fmt: skip
    group.add_argument(
        '--dry-run', action='store_true', help='say who goes into which group, and exit'
    )
    group.add_argument('-v', '--verbose', action='count', default=0, help='say more; -vv, -vvv')


def _default_bins() -> list[float]:
    bins = cohort_bins()
    return [bins[0].age_min, *(cohort.age_max for cohort in bins)]


def run(args: argparse.Namespace) -> int:
    """Build, and tell every decision."""
    from qsmbids.atlas.store import cache_folder

    if args.rounds < 1 or args.min_people < 1 or not args.resolution > 0:
        raise AtlasError(
            '--iterations, --min-n and --resolution must be above zero.',
            'They are counts and a voxel size.',
            'Leave them out to take what is usual.',
        )
    return build_from_derivatives(
        args.derivatives, name=args.name, licence=args.licence, work_dir=args.work_dir,
        out=args.out or cache_folder(args.atlas_cache), atlas_cache=args.atlas_cache,
        bins=args.bins, min_people=args.min_people, t1w=args.t1w, labels_from=args.labels_from,
        dry_run=args.dry_run, drawn=args.deep_grey.absolute() if args.deep_grey else None,
        rounds=args.rounds, resolution_mm=args.resolution, seed=args.seed,
        anonymous=args.anonymous, replace=args.replace, nprocs=args.nprocs, mem_gb=args.mem_gb,
        plugin_file=args.plugin_file, verbose=args.verbose,
    )  # fmt: skip


def build_from_derivatives(
    derivatives: Path, *, name: str, licence: str, work_dir: Path, out: Path,
    bins: list[float] | None = None, min_people: int = DEFAULT_MIN_PEOPLE,
    t1w: Path | None = None, labels_from: str = BUILTIN, atlas_cache: Path | None = None,
    nprocs: int | None = None, mem_gb: float | None = None, dry_run: bool = False,
    **settings: Any,
) -> int:  # fmt: skip
    """Build an atlas from an output folder; also what ``qsmbids group --build-atlas`` calls.

    Parameters
    ----------
    derivatives : Path
        Output folder of qsmbids participant.
    name, licence : str
    work_dir, out : Path
        Intermediate files; the atlas will be ``out/name``.
    bins : list of float, optional
        Limits of the age groups; by default those of the built-in atlas.
    labels_from : str
        Name or folder of the atlas that labels are carried from.
    nprocs, mem_gb : optional
        By default what this process may use.
    settings
        Further fields of `qsmbids.workflows.build_graph.BuildRequest`.

    Returns
    -------
    int
        0: everybody is in; 1: the atlas is written, somebody was left out.

    Raises
    ------
    AtlasError
        If there is no atlas in the end.
    """
    from qsmbids.execution.limits import available_cpus, available_memory_gb

    people, left_out = find_people(Path(derivatives).absolute(), t1w and Path(t1w).absolute())
    groups, notes = age_groups(people, bins or _default_bins(), min_people)
    notes = (*left_out, *notes)
    print('\n'.join(_groups_in_words(groups)))
    print(''.join(f'- {note}\n' for note in notes), flush=True)
    if dry_run:
        return exit_codes.OK
    from qsmbids.atlas.build.writing import check_target
    from qsmbids.atlas.store import find_atlas
    from qsmbids.execution.environment import prepare_environment

    out, work_dir = Path(out).absolute(), Path(work_dir).absolute()
    check_target(out, name, replace=bool(settings.get('replace')))
    source = find_atlas(labels_from, atlas_cache, work_dir)
    seed = settings.pop('seed', DEFAULT_SEED)
    prepare_environment(work_dir, seed)
    from qsmbids.workflows.build_graph import BuildRequest

    return _build(
        BuildRequest(
            groups=groups, name=name, licence=licence, out=out, work_dir=work_dir, seed=seed,
            labels_from=source, min_people=min_people,
            nprocs=nprocs or available_cpus(), mem_gb=mem_gb or available_memory_gb(),
            notes=notes, **settings,
        ),
        tuple(left_out),
    )  # fmt: skip


def _build(request: BuildRequest, left_out: tuple[str, ...]) -> int:
    from qsmbids.execution.lock import WorkFolderError, WorkLock
    from qsmbids.execution.resume import remove_damaged_steps
    from qsmbids.workflows.build_atlas import build_atlas

    try:
        with WorkLock(request.work_dir):
            for step in remove_damaged_steps(request.work_dir):
                print(f'Files of an earlier run are damaged; the step runs again: {step}')
            result = build_atlas(request)
    except WorkFolderError as error:
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    print()
    for note in result.notes[len(request.notes) :]:
        print(f'- {note}')
    print(f'\nThe atlas is in {result.folder}')
    print(f'  look at it: qsmbids-atlas show {result.folder}')
    print(f'  use it:     qsmbids ... --atlas {result.folder}')
    lost = len(result.chains) < sum(len(group.people) for group in request.groups)
    return exit_codes.SOME_FAILED if lost else exit_codes.OK


def _groups_in_words(groups) -> list[str]:
    lines = []
    for group in groups:
        lines.append(f'cohort {group.label}, {group.interval} years: {len(group.people)} people')
        lines += [f'  {p.label:<16} {p.age:5.1f} years   {p.chi.name}' for p in group.people]
    return lines
