"""``qsmbids-atlas import``: an atlas of somebody else, from a folder of templates."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids.cli import exit_codes
from qsmbids.cli.atlas_fetch import add_cache_option

if TYPE_CHECKING:
    from qsmbids.atlas.importing import ImportOptions
    from qsmbids.atlas.questions import Question

_ATTEMPTS = 3  # at a question
_DESCRIPTION = """\
Import age-binned susceptibility templates as an atlas: files <from>_<to>_*.nii[.gz] with label
images <from>_<to>_*label*.nii[.gz], as the published lifespan atlas is distributed, or one
template with one label image. What the files do not tell is asked at a terminal; elsewhere it
is an error that names the option. The folder is only read."""
_EPILOG = """\
examples:
  qsmbids-atlas import ./lifespan --name LifespanQSM --license "academic use only" \\
      --labels labels.tsv --t1w "*_T1w.nii.gz"
  qsmbids-atlas import ./toolbox --name ToolboxQSM --license "ask the authors" \\
      --labels labels.txt --ages 20 80 --t1w "MNI_T1*"
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        'import',
        help='make an atlas of templates and labels that you have',
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('folder', type=Path, metavar='FOLDER', help='holds the images')
    parser.add_argument('--name', default='', help='letters and digits; for --atlas NAME')
    parser.add_argument(
        '--license', default='', metavar='TEXT', dest='licence', help='terms of use of the atlas'
    )
    parser.add_argument(
        '--license-file', type=Path, metavar='FILE', dest='licence_file',
        help='kept beside the images (default: LICENSE* in FOLDER)',
    )  # fmt: skip
    parser.add_argument('--citation', default='', metavar='TEXT', help='how to acknowledge it')
    parser.add_argument(
        '--labels', type=Path, metavar='TABLE',
        help='what the numbers in the label images mean: a table with index and name, lines of '
        'both, or a label file of ITK-SNAP or FreeSurfer',
    )  # fmt: skip
    parser.add_argument(
        '--mapping', type=Path, metavar='TABLE',
        help='two columns: name in --labels, region of this program',
    )  # fmt: skip
    _add_files(parser.add_argument_group('which file is what (patterns in quotes)'))
    _add_facts(parser.add_argument_group('what files may not tell'))
    parser.add_argument('--replace', action='store_true', help='replace an atlas of that name')
    add_cache_option(parser)
    parser.set_defaults(run=run)


def _add_files(group: argparse._ArgumentGroup) -> None:
    for option, words in (
        ('--chi', 'susceptibility templates'),
        ('--label-images', 'label images'),
        ('--mask', 'brain masks (default: derived from the background)'),
        ('--t1w', 'T1-weighted templates'),
        ('--t2starw', 'GRE magnitude templates'),
        ('--std', 'standard deviations of susceptibility'),
        ('--r2star', 'R2* templates'),
    ):
        group.add_argument(option, default='', metavar='PATTERN', help=words)


def _add_facts(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--ages', type=float, nargs=2, metavar=('LOW', 'HIGH'),
        help='of a single template without ages in its name',
    )  # fmt: skip
    group.add_argument(
        '--age-end', choices=('exclusive', 'inclusive'), default='',
        help='whether 40_50 is [40, 50) (exclusive, the default), or 40_49 is [40, 50)',
    )  # fmt: skip
    group.add_argument('--allow-overlap', action='store_true', help='take overlapping age bins')
    group.add_argument(
        '--sides', choices=('from-position', 'from-names'), default='',
        help='labels of one side whose names do not say which: take it from where they lie, '
        'or leave them without a side',
    )  # fmt: skip
    group.add_argument('--units', choices=('ppm', 'ppb'), default='', help='of susceptibility')
    group.add_argument('--background', type=float, metavar='VALUE', help='value outside the head')
    group.add_argument(
        '--orientation', default='', metavar='XYZ',
        help='where the axes run to (RAS, LPI ...), only for files whose header does not say',
    )  # fmt: skip
    group.add_argument(
        '--shared-space', choices=('yes', 'no'), default='',
        help='whether the templates of all bins lie in one space, voxel for voxel',
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Import, and tell every decision."""
    from qsmbids.atlas.fetch import CacheError
    from qsmbids.atlas.importing import import_atlas
    from qsmbids.atlas.questions import UnansweredError
    from qsmbids.atlas.store import cache_folder

    cache = cache_folder(args.atlas_cache)
    try:
        folder = import_atlas(
            args.folder, cache, name=args.name, licence=args.licence, labels_table=args.labels,
            options=_options(args), ask=ask_at_terminal if sys.stdin.isatty() else None,
            tell=lambda sentence: print(f'- {sentence}', flush=True),
        )  # fmt: skip
    except UnansweredError as error:
        print(error, file=sys.stderr)
        return exit_codes.USAGE
    except BrokenPipeError:  # whoever read the output has gone: nothing is wrong with the cache
        raise
    except OSError as error:
        raise CacheError(
            f'{error.filename or cache} cannot be read or written: {error.strerror or error}.',
            f'The imported atlas is made and kept in {cache}.',
            'Name a folder of your own with --atlas-cache, and look at space and permissions.',
        ) from None
    print(f'\nImported into {folder}')
    cached = f' --atlas-cache {args.atlas_cache}' if args.atlas_cache else ''
    print(f'Look at it:   qsmbids-atlas show {folder.name}{cached}')
    print(f'Use it:       qsmbids BIDS_DIR OUTPUT_DIR participant --atlas {folder.name}{cached}')
    return exit_codes.OK


def _options(args: argparse.Namespace) -> ImportOptions:
    from qsmbids.atlas.import_bin import ImageAnswers
    from qsmbids.atlas.importing import ImportOptions

    patterns = {
        'chi': args.chi, 'dseg': args.label_images, 'mask': args.mask, 't1w': args.t1w,
        't2starw': args.t2starw, 'chi_std': args.std, 'r2starmap': args.r2star,
    }  # fmt: skip
    return ImportOptions(
        patterns={kind: pattern for kind, pattern in patterns.items() if pattern},
        ages=tuple(args.ages) if args.ages else None,
        age_end=args.age_end,
        allow_overlap=args.allow_overlap,
        images=ImageAnswers(args.units, args.background, args.orientation),
        sides=args.sides,
        mapping=args.mapping,
        shared_space=args.shared_space,
        licence_file=args.licence_file,
        citation=args.citation,
        replace=args.replace,
    )


def ask_at_terminal(question: Question, read: Callable[[str], str] = input) -> str:
    """Put a question to the person at the terminal; the proposal is taken by Enter.

    Parameters
    ----------
    question : Question
    read : callable
        Shows a prompt and returns what was typed.

    Returns
    -------
    str
        The answer; '' if there was none.
    """
    print(f'\n{question.text}\n  {question.why}')
    choices = '/'.join(question.choices)
    proposed = f'[{question.proposal}] ' if question.proposal else ''
    for _ in range(_ATTEMPTS):
        try:
            typed = read(f'  {choices} {proposed}> '.replace('  ', ' ')).strip()
        except EOFError:
            return ''
        typed = typed or question.proposal
        if typed and (not question.choices or typed in question.choices):
            return typed
    return typed
