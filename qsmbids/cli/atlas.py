"""``qsmbids-atlas``: list, fetch, import, show and build atlases."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from qsmbids import __version__
from qsmbids.atlas.errors import AtlasError
from qsmbids.cli import (
    atlas_build,
    atlas_fetch,
    atlas_import,
    atlas_list,
    atlas_show,
    exit_codes,
)

_EPILOG = """\
examples:
  qsmbids-atlas list                              what is there, and what can be fetched
  qsmbids-atlas fetch QSMLifespanAllen            once, with network; later runs need none
  qsmbids-atlas info QSMLifespanAllen             ages, regions, licence, whom to cite
  qsmbids BIDS OUT participant --atlas QSMLifespanAllen
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    parser = argparse.ArgumentParser(
        prog='qsmbids-atlas',
        description='Atlases for qsmbids: the ones that are there, published ones to fetch, and '
        'your own. An atlas is a folder with templates for several ages and a label table.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--version', action='version', version=f'qsmbids-atlas {__version__}')
    subparsers = parser.add_subparsers(metavar='COMMAND', required=True)
    for module in (atlas_list, atlas_fetch, atlas_import, atlas_show, atlas_build):
        module.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    args = build_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return args.run(args)
    except AtlasError as error:
        print(error, file=sys.stderr)
        return exit_code_of(error)
    except KeyboardInterrupt:
        print('\nInterrupted. No half-made atlas was left behind.', file=sys.stderr)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.INTERNAL
    except OSError as error:
        print(_refused(error), file=sys.stderr)
        return exit_codes.USAGE
    except Exception as error:  # noqa: BLE001  (a fault of the program, told like one)
        print(_fault(error), file=sys.stderr)
        return exit_codes.INTERNAL


def exit_code_of(error: AtlasError) -> int:
    """Return 2 for what the command line should have said otherwise, else 65."""
    from qsmbids.atlas.fetch import CacheError
    from qsmbids.atlas.sources import UnknownAtlasError

    wrong_call = isinstance(error, (CacheError, UnknownAtlasError))
    return exit_codes.USAGE if wrong_call else exit_codes.NOTHING_USABLE


def _refused(error: OSError) -> AtlasError:
    """Return what the file system refused, in three lines."""
    why = error.strerror or ' '.join(str(error).split()) or type(error).__name__
    place = error.filename2 or error.filename or 'a file'  # of a renaming, the goal
    return AtlasError(
        f'{place} cannot be read or written: {why}.',
        'The command needs it.',
        'Look at the path, its permissions and the space left.',
    )


def _terminate(number: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into an orderly end, on which half-made files are removed."""
    raise SystemExit(exit_codes.TERMINATED)


def _fault(error: Exception) -> str:
    """Return a fault of the program in three lines, with the place it happened."""
    trace: Any = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    place = f'{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}'
    words = ' '.join(str(error).split())
    return (
        f'qsmbids-atlas {__version__} failed: {type(error).__name__}: {words} ({place}).\n'
        'This is a fault of the program, and no half-made atlas was left behind.\n'
        'Please report it with the command and these lines.'
    )


if __name__ == '__main__':
    sys.exit(main())
