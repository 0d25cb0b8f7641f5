"""The command line of ``qsmbids``: arguments to a frozen Config."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from qsmbids import __version__, methods
from qsmbids.cli.execution_options import add_execution, bind_dashed
from qsmbids.cli.group_options import add_group, read_given_norms, read_group
from qsmbids.cli.reconstruction import add_methods, both, chosen_methods, read_params
from qsmbids.config import (
    AGE_INTERPOLATION,
    HAEMATOCRIT,
    REFERENCES,
    REGISTRATION_PRESETS,
    Config,
)
from qsmbids.execution.limits import cpu_limit, memory_limit

_EPILOG = """\
examples (positional arguments first):
  qsmbids /data /out participant --participant-label 01 02
  qsmbids /data /out participant group --nprocs 4 --mem 12G
  qsmbids /data /out participant --dry-run

exit codes: 0 all complete, 1 some acquisitions failed or a question of the group level was not
answered, 2 usage, 65 nothing usable found,
70 internal error, 130 interrupted, 143 terminated
"""


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show defaults, keep the examples as written."""

    def _get_help_string(self, action: argparse.Action) -> str:
        if action.default in (None, False, [], (), ''):
            return action.help or ''
        return super()._get_help_string(action) or ''


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(
        prog='qsmbids',
        description='From raw multi-echo GRE in BIDS to susceptibility maps, an age-specific '
        'atlas in the space of the scan, region tables and a report.',
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.add_argument('bids_dir', type=Path, help='the BIDS dataset; it is only read')
    parser.add_argument('output_dir', type=Path, help='where the derivatives go')
    parser.add_argument(
        'analysis_level',
        nargs='+',
        choices=('participant', 'group'),
        help='participant makes maps, tables and reports; group merges the tables, fits age '
        'curves and compares people',
    )
    parser.add_argument('--version', action='version', version=f'qsmbids {__version__}')
    _add_input(parser.add_argument_group('which data'))
    _add_reconstruction(parser.add_argument_group('reconstruction'))
    _add_atlas(parser.add_argument_group('atlas and regions'))
    add_group(parser.add_argument_group('group level'))
    add_execution(parser.add_argument_group('how to run'))
    return parser


def _add_input(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        *both('participant-label'), nargs='+', default=[], metavar='LABEL',
        help='participants to process, with or without sub- (default: all)',
    )  # fmt: skip
    group.add_argument(
        *both('session-label'), *both('session-id'), nargs='+', default=[], metavar='LABEL',
        dest='session_label', help='sessions to process, with or without ses- (default: all)',
    )  # fmt: skip
    group.add_argument(
        *both('bids-filter-file'), type=Path, metavar='FILE',
        help='JSON with the keys megre and t1w and entities to match; null means without the '
        'entity, "*" means any',
    )  # fmt: skip
    group.add_argument(
        '-d', '--derivatives', nargs='+', default=[], metavar='NAME=PATH',
        help='other derivatives to use: brain masks (*_desc-brain_mask), marked lesions and veins '
        '(*_label-lesion_mask, *_label-vein_mask ...)',
    )  # fmt: skip
    group.add_argument(
        *both('mask-derivatives'), type=Path, metavar='PATH',
        help='short for -d masks=PATH; without other derivatives, warns of scans without a mask',
    )  # fmt: skip
    group.add_argument(
        *both('skip-bids-validation'), *both('skip-bids-validator'), action='store_true',
        help='accepted for compatibility: the checks that a reconstruction needs always run',
    )  # fmt: skip
    group.add_argument('--age', type=float, metavar='YEARS', help='age, instead of the tables')


def _add_reconstruction(group: argparse._ArgumentGroup) -> None:
    add_methods(group)
    group.add_argument(
        *both('reference-region'), default='whole-brain', metavar='REGION',
        help=f'what has susceptibility zero: {", ".join(REFERENCES)}, or a region of the atlas',
    )  # fmt: skip
    group.add_argument(
        *both('phase-sign'), choices=('auto', '+', '-'), default='auto',
        help='sign of the phase in the files for paramagnetic sources',
    )  # fmt: skip
    group.add_argument(
        *both('b0-dir'), type=float, nargs=3, metavar=('X', 'Y', 'Z'),
        help='direction of B0 along the voxel axes, when the affine cannot tell',
    )  # fmt: skip
    group.add_argument(
        *both('field-strength'), type=float, metavar='TESLA',
        help='when the sidecars hold neither ImagingFrequency nor MagneticFieldStrength',
    )  # fmt: skip
    group.add_argument(
        '--cosmos', action='store_true',
        help='one more map from three or more scans of a session with the head in different '
        'orientations',
    )  # fmt: skip
    group.add_argument(
        *both('recon-only'), action='store_true', help='maps only: no atlas, no region tables'
    )


def _add_atlas(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--atlas', default='QSMLifespan', metavar='NAME|PATH',
        help='the built-in atlas, one that `qsmbids-atlas list` shows, or a folder of your own',
    )  # fmt: skip
    group.add_argument(
        *both('atlas-cache'), type=Path, metavar='PATH',
        help='where fetched atlases lie (default: $QSMBIDS_ATLAS_CACHE, or the installation)',
    )  # fmt: skip
    group.add_argument('--cohort', default='', metavar='N', help='cohort, instead of by age')
    group.add_argument(
        *both('strict-age'), action='store_true',
        help='refuse an age that the atlas does not cover, instead of the nearest cohort',
    )  # fmt: skip
    group.add_argument(
        *both('age-interpolation'), choices=AGE_INTERPOLATION, default='auto',
        help='blend the two cohorts around an age; auto does it where cohorts share one space',
    )  # fmt: skip
    group.add_argument(
        '--registration', choices=REGISTRATION_PRESETS, default='standard',
        help='how much time to spend on registration',
    )  # fmt: skip
    group.add_argument(
        '--haematocrit', type=float, default=HAEMATOCRIT, metavar='FRACTION',
        help='of the blood, for the oxygen saturation of veins that you mark',
    )  # fmt: skip
    group.add_argument(
        *both('build-atlas'), default='', metavar='NAME',
        help='at the group level, build an atlas of all participants into the output folder '
        '(atlases/NAME); `qsmbids-atlas build` has more options',
    )  # fmt: skip
    group.add_argument(
        *both('atlas-license'), default='', metavar='TEXT', help='terms of use of that atlas'
    )


def parse(argv: Sequence[str] | None = None) -> Config:
    """Read the command line; wrong usage ends the program with exit code 2."""
    parser = build_parser()
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(bind_dashed(argv))
    bids_dir, output_dir = args.bids_dir.resolve(), args.output_dir.resolve()
    work_dir = (args.work_dir or Path('work')).resolve()
    _check_paths(parser, args, bids_dir, output_dir, work_dir)
    derivatives = _derivatives(parser, args.derivatives)
    if args.mask_derivatives:
        derivatives['masks'] = args.mask_derivatives.resolve()
    for name, path in derivatives.items():
        if not path.is_dir():
            parser.error(f'--derivatives {name}: no such folder: <{path}>')
    cpus, memory = cpu_limit(), memory_limit()
    nprocs = args.nprocs or int(cpus.value)
    if nprocs < 1 or (args.omp_nthreads is not None and args.omp_nthreads < 1):
        parser.error('--nprocs and --omp-nthreads must be at least 1')
    chosen = chosen_methods(args)
    if args.two_pass and methods.get('inversion', chosen['inversion']).field == 'total':
        parser.error(
            f'--two-pass needs an inversion of a local field, and {chosen["inversion"]} starts '
            'from the total one; choose another --inversion, such as rts, tv or hdqsm'
        )
    return Config(
        bids_dir=bids_dir,
        output_dir=output_dir,
        work_dir=work_dir,
        levels=tuple(level for level in ('participant', 'group') if level in args.analysis_level),
        participant_labels=_labels(args.participant_label, 'sub-'),
        session_labels=_labels(args.session_label, 'ses-'),
        filters=_filters(parser, args.bids_filter_file),
        derivatives=derivatives,
        mask_derivatives='masks' if args.mask_derivatives else '',
        methods=chosen,
        params=read_params(parser, args, chosen),
        mask=args.mask or '',
        bipolar=args.bipolar,
        two_pass=args.two_pass,
        contrasts=tuple(dict.fromkeys(args.contrast)),
        reference=args.reference_region,
        age_years=args.age,
        strict_age=args.strict_age,
        atlas=args.atlas,
        atlas_cache=args.atlas_cache.resolve() if args.atlas_cache else None,
        cohort=args.cohort,
        age_interpolation=args.age_interpolation,
        haematocrit=args.haematocrit,
        build_atlas=args.build_atlas,
        atlas_licence=args.atlas_license,
        norms=read_given_norms(parser, args),
        group=read_group(parser, args),
        registration=args.registration,
        recon_only=args.recon_only,
        cosmos=args.cosmos,
        phase_sign=args.phase_sign,
        b0_dir=tuple(args.b0_dir) if args.b0_dir else None,
        field_strength_t=args.field_strength,
        random_seed=args.random_seed,
        nprocs=nprocs,
        omp_nthreads=min(args.omp_nthreads or 0, nprocs),
        mem_gb=args.mem_gb or round(0.9 * memory.value, 2),
        cpu_source='--nprocs' if args.nprocs else cpus.source,
        mem_source='--mem' if args.mem_gb else memory.source,
        plugin_file=args.use_plugin,
        cluster=args.cluster,
        cluster_args=args.cluster_args,
        clean_workdir=args.clean_workdir,
        wait_minutes=args.wait,
        keep_work=args.keep_work,
        redo=args.redo,
        resource_monitor=args.resource_monitor,
        stop_on_first_crash=args.stop_on_first_crash,
        reports_only=args.reports_only,
        dry_run=args.dry_run,
        verbose=args.verbose,
        command=shlex.join(['qsmbids', *argv]),
        run_id=f'{datetime.now():%Y%m%d-%H%M%S}_{uuid.uuid4()}',
    )


def _check_paths(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    bids_dir: Path,
    output_dir: Path,
    work_dir: Path,
) -> None:
    if not bids_dir.is_dir():
        parser.error(f'no such folder: <{args.bids_dir}>')
    if output_dir == bids_dir:
        place = bids_dir / 'derivatives' / f'qsmbids-{__version__}'
        parser.error(f'the output folder is the dataset itself; use for example <{place}>')
    if work_dir == output_dir:
        parser.error('the work folder is the output folder; choose another --work-dir')
    if work_dir.is_relative_to(bids_dir):
        parser.error('the work folder must not lie inside the dataset; choose another --work-dir')
    for option, path in (
        ('--bids-filter-file', args.bids_filter_file),
        ('--use-plugin', args.use_plugin),
    ):
        if path is not None and not path.is_file():
            parser.error(f'{option}: no such file: <{path}>')
    if args.cluster and args.use_plugin:
        parser.error('--cluster and --use-plugin exclude each other')
    if args.cluster_args and not args.cluster:
        parser.error('--cluster-args belongs to --cluster')
    if args.age is not None and not 0 <= args.age <= 120:
        parser.error(f'--age {args.age:g} is not an age in years')
    if args.build_atlas and not args.atlas_license:
        parser.error('--build-atlas needs --atlas-license: the terms of use of the atlas')
    if args.build_atlas and 'group' not in args.analysis_level:
        parser.error('--build-atlas belongs to the group level')
    if not 0 < args.haematocrit < 1:
        parser.error(f'--haematocrit {args.haematocrit:g} is not a fraction between 0 and 1')


def _labels(values: Sequence[str], prefix: str) -> tuple[str, ...]:
    return tuple(sorted({value.removeprefix(prefix) for value in values}))


def _derivatives(parser: argparse.ArgumentParser, values: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for value in values:
        name, equals, path = value.partition('=')
        if not equals:
            name, path = Path(value).name, value
        if name in found:
            parser.error(f'--derivatives names {name!r} twice')
        found[name] = Path(path).resolve()
    return found


def _filters(parser: argparse.ArgumentParser, path: Path | None) -> dict | None:
    if path is None:
        return None
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        parser.error(f'--bids-filter-file <{path}> is not readable JSON: {error}')
    unknown = set(found) - {'megre', 't1w'} if isinstance(found, dict) else {'(not an object)'}
    if unknown:
        parser.error(
            f'--bids-filter-file <{path}> has unknown keys {", ".join(sorted(unknown))}; '
            'known are megre and t1w'
        )
    return found
