"""``qsmbids-atlas fetch``: download published atlases, once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids.atlas import sources
from qsmbids.atlas.errors import AtlasError
from qsmbids.cli import exit_codes

if TYPE_CHECKING:
    from qsmbids.atlas.dataset import Atlas

_EPILOG = """\
The files are checked against their SHA-256. A download that was cut goes on where it stopped
when the command is given again. Where there is no network, copy the cache folder from a
machine that has it, or set QSMBIDS_ATLAS_MIRROR to a web server of your site that holds the
files as <mirror>/<atlas>/<file>; `qsmbids-atlas info NAME` shows which they are.

examples:
  qsmbids-atlas fetch QSMLifespanAllen
  qsmbids-atlas fetch --all --atlas-cache /data/atlases
"""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        'fetch',
        help='download published atlases into the cache',
        description='Download published atlases, check them and make them ready for --atlas NAME.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('names', nargs='*', metavar='NAME', help='see `qsmbids-atlas list`')
    parser.add_argument('--all', action='store_true', help='every atlas that can be fetched')
    parser.add_argument('--force', action='store_true', help='make it again if it is there')
    add_cache_option(parser)
    parser.set_defaults(run=run, parser=parser)


def add_cache_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--atlas-cache``."""
    parser.add_argument(
        '--atlas-cache', type=Path, metavar='PATH',
        help='where atlases are kept (default: $QSMBIDS_ATLAS_CACHE, or the installation)',
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Fetch what was asked for; one that fails does not keep the others from being fetched."""
    if bool(args.names) == args.all:
        args.parser.error('give the names of atlases, or --all')
    from qsmbids.atlas.dataset import open_atlas
    from qsmbids.atlas.fetch import fetch
    from qsmbids.atlas.store import cache_folder
    from qsmbids.cli.atlas import exit_code_of

    wanted = [sources.find_source(name) for name in args.names or sources.SOURCES]
    cache = cache_folder(args.atlas_cache)
    codes = []
    for source in dict.fromkeys(wanted):
        print(f'{source.name}: {source.summary}')
        print(f'  licence: {source.licence}')
        print(f'  please cite: {source.citation}. https://doi.org/{source.doi}', flush=True)
        bar = _Bar()
        try:
            folder = fetch(source, cache, force=args.force, tell=bar.tell, progress=bar.update)
        except AtlasError as error:
            bar.end()
            print(error, file=sys.stderr)
            codes.append(exit_code_of(error))
            continue
        codes.append(exit_codes.OK)
        print(f'  ready: {folder}')
        print(f'  please cite: {acknowledgement(open_atlas(folder))}')
        print(f'  use it with: qsmbids ... --atlas {source.name}{_cache_words(args)}')
    if exit_codes.OK in codes and any(codes):
        return exit_codes.SOME_FAILED
    return max(codes)


def acknowledgement(atlas: Atlas) -> str:
    """Return whom to cite: the words of the atlas itself, else those noted when fetching."""
    from qsmbids.atlas.store import read_source

    said = (
        about.get('HowToAcknowledge') for about in (atlas.description, read_source(atlas.root))
    )
    return next((str(words) for words in said if words), '')


def _cache_words(args: argparse.Namespace) -> str:
    return '' if args.atlas_cache is None else f' --atlas-cache {args.atlas_cache}'


class _Bar:
    """Progress on standard error: one line that is written over, or none in a log file."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._open = False

    def update(self, name: str, done: int, total: int | None) -> None:
        """Show how much of a file has arrived."""
        if not self._live:
            return
        size = f'{done / 1e6:.1f} MB'
        if total:
            size = f'{done / 1e6:.1f} of {total / 1e6:.1f} MB ({100 * done // total} %)'
        print(f'\r    {name}  {size}\033[K', end='', file=sys.stderr, flush=True)
        self._open = True

    def tell(self, text: str) -> None:
        """Print a line."""
        self.end()
        print(f'  {text}', flush=True)

    def end(self) -> None:
        """Leave the line that was written over."""
        if self._open:
            print(file=sys.stderr, flush=True)
        self._open = False
