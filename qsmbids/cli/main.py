"""The BIDS App: ``qsmbids BIDS_DIR OUTPUT_DIR {participant,group}``."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from qsmbids.cli import exit_codes
from qsmbids.execution.environment import prepare_environment
from qsmbids.execution.failures import keep_traceback
from qsmbids.execution.io_errors import explain

if TYPE_CHECKING:
    from qsmbids.config import Config


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    # before the heavy imports: until then the first process of a container hears no signal
    signal.signal(signal.SIGTERM, _terminate)
    from qsmbids.cli.parser import parse

    config = parse(argv)
    try:
        return run(config)
    except KeyboardInterrupt:
        print('\nInterrupted. Finished steps are kept: the same command goes on from here.')
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whoever runs this reads no Python
        return last_resort(error, config.work_dir)


def run(config: Config) -> int:
    """Run the levels that were asked for; return the exit code of the worst."""
    if not config.dry_run:
        problem = _cannot_write(config)
        if problem:
            print(problem, file=sys.stderr)
            return exit_codes.USAGE
        prepare_environment(config.work_dir, config.random_seed)
    codes = []
    if 'participant' in config.levels:
        from qsmbids.cli.participant import run_participants

        codes.append(run_participants(config))
    nothing = exit_codes.NOTHING_USABLE in codes
    if 'group' in config.levels and not config.dry_run and not nothing:
        from qsmbids.cli.group import run_group_level

        codes.append(run_group_level(config))
    return max(codes, default=exit_codes.OK)


def last_resort(error: Exception, work_dir: Path) -> int:
    """Tell in three lines of an error that nobody caught; return the exit code."""
    if isinstance(error, BrokenPipeError):  # whoever read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.INTERNAL
    text = explain(error, work_dir)
    print(text or unexpected(error, work_dir), file=sys.stderr)
    return exit_codes.SOME_FAILED if text else exit_codes.INTERNAL


def unexpected(error: Exception, work_dir: Path) -> str:
    """Keep the traceback of an error that nobody foresaw; return what to tell of it."""
    path = keep_traceback(error, work_dir)
    if not path:
        traceback.print_exception(error)
    place = f'The traceback is in {path}.' if path else 'It could not be kept; see above.'
    if isinstance(error, OSError):
        where = f' ({error.filename})' if error.filename else ''
        return (
            f'The run stopped: {error.strerror or error}{where}.\n'
            f'A file or folder was not to be had. {place}\n'
            'Mend that and start the same command again: finished steps are kept.'
        )
    return (
        f'The run stopped at a fault of the program: {type(error).__name__}: {error}\n'
        f'This should not happen. {place}\n'
        'Please report it with that file; the same command goes on from the finished steps.'
    )


def _cannot_write(config: Config) -> str:
    """Return what to tell when a folder cannot be written to, or ''."""
    for option, folder in (('output folder', config.output_dir), ('--work-dir', config.work_dir)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return _no_folder(option, folder, error.strerror or str(error))
        if not os.access(folder, os.W_OK | os.X_OK):
            return _no_folder(option, folder, 'no permission')
    return ''


def _no_folder(option: str, folder: Path, why: str) -> str:
    return (
        f'The {option} {folder} cannot be written to: {why}.\n'
        'Results and intermediate files need a place.\n'
        'Give a folder that you may write to (in a container: one that is mounted, with -w).'
    )


def _terminate(number: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into an orderly end: locks are released and workers stopped on the way."""
    raise SystemExit(exit_codes.TERMINATED)
