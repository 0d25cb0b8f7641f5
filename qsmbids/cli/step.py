"""``qsmbids-step``: every stage of the reconstruction on single NIfTI files, without BIDS.

There is one verb for each stage, and what can be chosen comes from the catalogue of methods.
Nothing heavy is imported before there is something to do.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from qsmbids import __version__
from qsmbids.cli import exit_codes
from qsmbids.cli.step_messages import StepError
from qsmbids.cli.step_parser import build_parser
from qsmbids.cli.step_verbs import VERBS, Verb
from qsmbids.execution.limits import available_cpus

if TYPE_CHECKING:
    from qsmbids.cli.step_run import Request


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        if args.list:
            from qsmbids.cli.step_list import list_methods

            print(list_methods([VERBS[args.verb]] if args.verb else VERBS.values()))
            return exit_codes.OK
        request = _request(args, shlex.join(['qsmbids-step', *argv]))
        _limit_threads(request.threads)
        from qsmbids.cli.step_run import run

        for path, units in run(request):
            print(f'{path}  [{units}]')
    except StepError as error:
        print(error, file=sys.stderr)
        return error.code
    except ValueError as error:  # the engine, about data that it cannot work with
        print(_three_lines(str(error)), file=sys.stderr)
        return exit_codes.NOTHING_USABLE
    except MemoryError:
        print(
            'There is not enough memory for images of this size.\n'
            'The method holds several volumes at once; see bytes per voxel in --list.\n'
            'Close other programs, or use a machine with more memory.',
            file=sys.stderr,
        )
        return exit_codes.SOME_FAILED
    except KeyboardInterrupt:
        print('\nInterrupted. No half-written file was left behind.', file=sys.stderr)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.INTERNAL
    except Exception as error:  # noqa: BLE001  (a fault of the program, told like one)
        print(_fault(error), file=sys.stderr)
        return exit_codes.INTERNAL
    return exit_codes.OK


def _request(args: argparse.Namespace, command: str) -> Request:
    """Return what is asked for, checked as far as that needs no file's content."""
    if not args.verb:
        raise StepError(
            'No verb was given.', 'It tells which step is wanted.',
            f'Choose from: {", ".join(VERBS)}. See qsmbids-step --help.',
        )  # fmt: skip
    from qsmbids.cli.step_run import Request, no_method
    from qsmbids.cli.step_scan import Given
    from qsmbids.plan.field_strength import STRONGEST_FIELD_T

    verb = VERBS[args.verb]
    files = {option: getattr(args, option) for option in verb.inputs if getattr(args, option)}
    outputs = {
        output.option: getattr(args, output.option.replace('-', '_')) for output in verb.outputs
    }
    outputs = {option: path for option, path in outputs.items() if path is not None}
    for option, paths in {**files, 'sidecar': args.sidecar}.items():
        _check_files(option, paths)
    if not args.method:
        raise no_method(verb, args.method)
    if 'out' not in outputs:
        raise StepError(
            f'{verb.name} needs --out.',
            'The main result has to go somewhere.',
            'Add --out FILE.nii.gz.',
        )
    _check_number('field-strength', args.field_strength, STRONGEST_FIELD_T, 'tesla, such as 3')
    _check_number(
        'imaging-frequency', args.imaging_frequency, 43 * STRONGEST_FIELD_T, 'MHz, such as 123.2'
    )
    threads = available_cpus() if args.threads is None else args.threads
    _check_number('threads', threads, float('inf'), 'a whole number from 1')
    given = Given(
        echo_times_s=tuple(args.echo_times) if args.echo_times else None,
        field_strength_t=args.field_strength,
        imaging_frequency_mhz=args.imaging_frequency,
        b0_direction=_direction(args.b0_dir, verb),
        field_unit=getattr(args, 'field_unit', None),
        phase_sign=getattr(args, 'phase_sign', 'auto'),
        sidecars=tuple(args.sidecar),
    )
    overrides = dict(_override(text, verb) for text in args.param)
    return Request(
        verb, args.method, overrides, files, outputs, given, args.overwrite, threads, command
    )


def _check_files(option: str, paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file() and not path.is_symlink():
            raise StepError(
                f'--{option}: there is no file {path}.',
                'It would be read.',
                'Check the name and the folder.',
            )
        if list(paths).count(path) > 1:
            raise StepError(
                f'--{option} names {path} twice.',
                'Every file counts once.',
                'Name each echo or orientation once.',
            )


def _check_number(option: str, value: float | None, largest: float, what: str) -> None:
    if value is not None and not 0 < value <= largest:
        raise StepError(
            f'--{option} {value:g} is not possible.',
            'The results are scaled or timed by it.',
            f'Give {what}.',
        )


def _direction(values: list[float] | None, verb: Verb) -> tuple[float, ...] | None:
    if values is None:
        return None
    if len(values) % 3 or (len(values) > 3 and verb.name != 'cosmos') or not any(values):
        raise StepError(
            f'--b0-dir {" ".join(f"{v:g}" for v in values)} is no direction.',
            'The dipole kernel is turned along B0.',
            'Give three numbers along the voxel axes, not all zero, such as 0 0 1.',
        )
    return tuple(values)


def _override(text: str, verb: Verb) -> tuple[str, str]:
    name, equals, value = text.partition('=')
    name = name.removeprefix(f'{verb.stage}.')
    if not (equals and name):
        raise StepError(
            f'--param {text} is not NAME=VALUE.',
            'It cannot be told which parameter is meant.',
            f'See qsmbids-step {verb.name} --list for their names.',
        )
    return name, value


def _limit_threads(threads: int) -> None:
    """Keep libraries from starting more threads; they read this when they are imported."""
    for name in ('OMP', 'OPENBLAS', 'MKL'):
        os.environ.setdefault(f'{name}_NUM_THREADS', str(threads))


def _terminate(number: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into an orderly end, on which temporary files are removed."""
    raise SystemExit(exit_codes.TERMINATED)


def _three_lines(text: str) -> str:
    if text.count('\n') >= 2:
        return text
    return (
        f'{text}\nThe method cannot work with these data.\n'
        'Check images, mask and options; qsmbids-step VERB --help explains them.'
    )


def _fault(error: Exception) -> str:
    """Return a fault of the program in three lines, with the place it happened."""
    trace: Any = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    place = f'{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}'
    return (
        f'qsmbids-step {__version__} failed: {type(error).__name__}: {error} ({place}).\n'
        'This is a fault of the program, not of your data, and no result was written.\n'
        'Please report it with the command and these lines.'
    )


if __name__ == '__main__':
    sys.exit(main())
