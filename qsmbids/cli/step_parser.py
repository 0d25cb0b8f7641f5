"""The options of ``qsmbids-step``, made from its verbs and the catalogue of methods."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from qsmbids import __version__
from qsmbids.cli import exit_codes
from qsmbids.cli.step_verbs import INPUTS, VERBS, Verb
from qsmbids.methods import DEFAULT_METHODS

_EPILOG = """\
examples:
  qsmbids-step unwrap romeo --phase echo-*_phase.nii.gz --magnitude echo-*_mag.nii.gz \\
      --mask m.nii.gz --echo-times 0.004 0.008 0.012 --out unwrapped.nii.gz
  qsmbids-step background vsharp --field total.nii.gz --mask m.nii.gz --out local.nii.gz \\
      --out-mask after.nii.gz
  qsmbids-step invert rts --field local.nii.gz --mask after.nii.gz --field-strength 3 \\
      --out chi.nii.gz --param threshold=0.2
  qsmbids-step invert --list

exit codes: 0 done, 2 usage, 65 unusable input, 1 output not written, 70 internal error,
130 interrupted
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in three lines, without repeating the usage."""

    def error(self, message: str) -> NoReturn:
        what = message[:1].upper() + message[1:]
        self.exit(
            exit_codes.USAGE,
            f'{what}.\nThe command cannot be understood like this.\nSee {self.prog} --help.\n',
        )


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser, with a sub-parser for each verb."""
    parser = _Parser(
        prog='qsmbids-step',
        description='One step of the reconstruction on NIfTI files, without a BIDS dataset.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--version', action='version', version=f'qsmbids-step {__version__}')
    parser.add_argument('--list', action='store_true', help='list all methods of all verbs')
    verbs = parser.add_subparsers(dest='verb', metavar='VERB', title='verbs')
    for verb in VERBS.values():
        sub = verbs.add_parser(
            verb.name, help=verb.summary, description=_sentence(verb.summary),
            epilog=_methods_text(verb), allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        _add_options(sub, verb)
    return parser


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + '.'


def _methods_text(verb: Verb) -> str:
    """Return the methods of a verb, one per line, for its help."""
    lines = ['methods (--list shows their parameters and the files they use):']
    default = DEFAULT_METHODS.get(verb.stage)
    for method in verb.methods():
        mark = ' (default of the app)' if method.name == default else ''
        lines.append(f'  {method.name:<14} {method.label}: {method.summary}{mark}')
    if verb.name == 'mask':
        lines.append(
            "  or an expression such as 'bet & quality', 'fill(largest(user))';\n"
            "  'user' is the file of --mask"
        )
    return '\n'.join(lines) if len(lines) > 1 else 'There is no method for this yet.'


def _add_options(parser: argparse.ArgumentParser, verb: Verb) -> None:
    parser.add_argument('method', nargs='?', default='', metavar='METHOD', help='see below')
    parser.add_argument(
        '--list', action='store_true', help='list the methods with their parameters, and exit'
    )
    files = parser.add_argument_group('input images (NIfTI)')
    for option in verb.inputs:
        several = option in verb.several
        files.add_argument(
            f'--{option}', type=Path, nargs='+' if several else 1, metavar='FILE',
            help=INPUTS[option],
        )  # fmt: skip
    results = parser.add_argument_group('results; each gets a JSON sidecar')
    for output in verb.outputs:
        units = f' ({output.units})' if output.units not in ('', 'field') else ''
        results.add_argument(
            f'--{output.option}', type=Path, metavar='FILE', help=output.description + units
        )
    results.add_argument(
        '--overwrite', action='store_true', help='replace results that exist already'
    )
    facts = parser.add_argument_group('the scan (default: from the sidecars beside the images)')
    facts.add_argument('--echo-times', type=float, nargs='+', metavar='S', help='echo times in s')
    facts.add_argument('--field-strength', type=float, metavar='T', help='main field in tesla')
    facts.add_argument(
        '--imaging-frequency', type=float, metavar='MHZ', help='Hz per ppm; before the above'
    )
    facts.add_argument(
        '--b0-dir', type=float, nargs='+', metavar='X',
        help='direction of B0 along the voxel axes, three numbers (default: from the header); '
        'for cosmos three for each field',
    )  # fmt: skip
    if 'field' in verb.inputs:
        facts.add_argument(
            '--field-unit', choices=('Hz', 'ppm'),
            help='unit of --field and --noise (default: Units of the sidecar, else Hz)',
        )  # fmt: skip
    if 'phase' in verb.inputs:
        facts.add_argument(
            '--phase-sign', choices=('auto', '+', '-'), default='auto',
            help='sign of the phase of paramagnetic sources (default: by Manufacturer, else +)',
        )  # fmt: skip
    facts.add_argument(
        '--sidecar', type=Path, nargs='+', default=[], metavar='FILE',
        help='MEGRE sidecars (JSON), one for all or one per echo, instead of those beside',
    )  # fmt: skip
    how = parser.add_argument_group('how')
    how.add_argument(
        '--param', nargs='+', action='extend', default=[], metavar='NAME=VALUE',
        help='parameters of the method',
    )  # fmt: skip
    how.add_argument('--threads', type=int, metavar='N', help='default: what this process may use')
