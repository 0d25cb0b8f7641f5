"""The command line of ``qsmbids-slurm``: its own options, and those that it passes on."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.store import CACHE_VARIABLE, SOURCE_FILE, find_cached, installed_folder
from qsmbids.cli.group_options import add_group
from qsmbids.cli.parser import parse
from qsmbids.cli.reconstruction import both
from qsmbids.cli.slurm_split import joined, split
from qsmbids.config import Config
from qsmbids.execution.slurm.image import checked_image

_EPILOG = """\
Every option of qsmbids is understood as well and is passed on (see qsmbids --help); the work
folder (-w) must be on a file system that all nodes see. Without an analysis level both are
done. The same command again submits only what is missing, with more memory or time for what
died of the lack of it.

examples:
  qsmbids-slurm /data /out -w /scratch/qsm --image qsmbids.sif --partition normal
  qsmbids-slurm -w /scratch/qsm --status

exit codes: 0 submitted (with --status: all done), 1 something was refused (with --status: not
all done), 2 usage, 65 nothing usable found
"""
# said for each element anew, or of no use in one
_OWN = ('work_dir', 'participant_label')
# of no influence on what comes out: they may change while jobs wait
_ANY = (
    'redo', 'verbose', 'keep_work', 'clean_workdir', 'resource_monitor', 'stop_on_first_crash',
    'use_plugin', 'omp_nthreads', 'notrack', 'skip_bids_validation', 'reports_only', 'atlas_cache',
)  # fmt: skip
_LEVELS = ('participant', 'group')


@dataclass(frozen=True)
class Passed:
    """What is passed on to qsmbids.

    Parameters
    ----------
    config : Config
        The same, read and checked.
    participant, group : tuple of str
        Options of each level, with absolute paths.
    options, group_options : str
        Those of them that decide what comes out, in one order.
    """

    config: Config
    participant: tuple[str, ...]
    group: tuple[str, ...]
    options: str = ''
    group_options: str = ''


def own_parser() -> argparse.ArgumentParser:
    """Return the parser of the options that qsmbids does not have."""
    parser = argparse.ArgumentParser(
        prog='qsmbids-slurm',
        usage='qsmbids-slurm BIDS_DIR OUTPUT_DIR [participant] [group] [options] '
        '[options of qsmbids]\n       qsmbids-slurm -w WORK_DIR {--status [--json],--cancel}',
        description='Process the participants of a dataset as a job array on Slurm, one element '
        'each, and the group level after them.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    job = parser.add_argument_group('what each job asks for')
    job.add_argument('--image', metavar='FILE', help='run in this image by Apptainer')
    job.add_argument('--partition', default='', metavar='NAME')
    job.add_argument('--account', default='', metavar='NAME')
    job.add_argument(
        '--time', type=time_limit, metavar='TIME',
        help='time limit of one participant, as Slurm writes it (default: from the estimate)',
    )  # fmt: skip
    job.add_argument(
        '--mem', *both('mem-mb'), type=memory_mb, metavar='SIZE',
        help='memory of a job: MB, or with G (default: from the estimate)',
    )  # fmt: skip
    job.add_argument('--cpus', type=positive, default=2, metavar='N', help='processors (2)')
    job.add_argument(
        '--sbatch-args', default='', metavar='OPTIONS',
        help='further options of sbatch, in quotes: "--qos=long --exclude=n7"',
    )  # fmt: skip
    job.add_argument(
        '--setup', default='', metavar='LINE',
        help='line of the script before the program: "module load apptainer"',
    )  # fmt: skip
    array = parser.add_argument_group('the array')
    array.add_argument(
        '--per-job', type=positive, default=1, metavar='N',
        help='participants in one element, one after another (1, or more where there are more '
        'participants than the site allows elements)',
    )  # fmt: skip
    array.add_argument(
        '--max-running', type=positive, default=0, metavar='N',
        help='elements that run at the same time (default: what the site allows)',
    )  # fmt: skip
    array.add_argument('--no-group', action='store_true', help='leave the group level out')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--status', action='store_true', help='say what became of each participant')
    what.add_argument('--cancel', action='store_true', help='cancel what waits and runs')
    what.add_argument(*both('dry-run'), action='store_true', help='say what would be submitted')
    parser.add_argument('--json', action='store_true', help='with --status: for programs')
    return parser


def read(argv: Sequence[str]) -> tuple[argparse.Namespace, Passed | None]:
    """Return the own options and what is passed on; wrong usage ends the program.

    The own ones get ``work_dir``. With ``--status`` and ``--cancel`` nothing is passed on, and
    no more is needed than the work folder.

    Raises
    ------
    SlurmError
        If the image is absent, or none.
    """
    parser = own_parser()
    own, rest = parser.parse_known_args(joined(list(argv)))
    if own.json and not own.status:
        parser.error('--json belongs to --status')
    for option, value in (('--sbatch-args', own.sbatch_args), ('--setup', own.setup)):
        if '\n' in value:
            parser.error(f'{option} must be one line')
    positional, options = split(rest)
    own.work_dir = Path('work').resolve()
    for dest, words in options:
        name, _, value = words[0].partition('=')
        if not dest:
            parser.error(f'there is no option {name}')
        if dest == 'nprocs':
            parser.error(f'{name}: say --cpus, the processors that each job asks for')
        if dest == 'work_dir' and (value or len(words) > 1):
            own.work_dir = Path(value or words[1])
    if own.status or own.cancel:
        return own, None
    if own.image is not None:
        own.image = checked_image(own.image)
    return own, _passed(parser, own, positional, options)


def _passed(
    parser: argparse.ArgumentParser,
    own: argparse.Namespace,
    positional: list[str],
    options: list[tuple[str, list[str]]],
) -> Passed:
    missing = 2 - len(positional)
    if missing > 0 or (len(positional) == 2 and positional[1] in _LEVELS):
        parser.error('BIDS_DIR and OUTPUT_DIR are needed' if missing == 2 else 'give OUTPUT_DIR')
    levels = [*positional[2:]] or list(_LEVELS)
    if own.no_group and 'group' in levels:
        levels.remove('group')
    given = [*positional[:2], *levels]
    config = _parse(parser, [*given, *(word for _, words in options for word in words)])
    if 'participant' not in config.levels:
        parser.error('qsmbids-slurm is for participants; the group level alone is quick: qsmbids')
    if config.cluster:
        parser.error('--cluster makes every step a job; with qsmbids-slurm each person is one')
    place = _place_of_atlas(config, own.image)
    if place is not None:
        options.append(('atlas_cache', ['--atlas-cache', str(place.resolve())]))
    only_group = _only_group()
    group = [(dest, words) for dest, words in options if dest not in _OWN]
    person = [(dest, words) for dest, words in group if dest not in only_group]
    group += [(dest, words) for dest, words in options if dest == 'participant_label']
    return Passed(
        config, _words(person), _words(group),
        *(shlex.join(_words(sorted(o for o in part if o[0] not in _ANY)))
          for part in (person, group)),
    )  # fmt: skip


def _place_of_atlas(config: Config, image: Path | None) -> Path | None:
    """Return a folder of atlases that the jobs do not find by themselves, None for no such."""
    if image is not None and config.atlas != BUILTIN:
        found = find_cached(config.atlas, config.atlas_cache)
        # fetched ones are in the image, and nodes may not see this installation
        known = found and found.parent == installed_folder() and (found / SOURCE_FILE).is_file()
        if found and not known and found.parent != config.atlas_cache:
            return found.parent
    cache = os.environ.get(CACHE_VARIABLE)
    return Path(cache) if cache and config.atlas_cache is None and Path(cache).is_dir() else None


def _words(options: Sequence[tuple[str, list[str]]]) -> tuple[str, ...]:
    return tuple(word for _, words in options for word in words)


def _only_group() -> set[str]:
    """Return the options that the participant level does not look at."""
    parser = argparse.ArgumentParser(add_help=False)
    add_group(parser.add_argument_group())
    return {action.dest for action in parser._actions} - {'norms'} | {
        'build_atlas',
        'atlas_license',
    }


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> Config:
    """Read what is passed on; errors are told without the usage of another program."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            config = parse(words)
    except SystemExit as end:
        if not end.code:
            raise
        parser.error(said.getvalue().rpartition('qsmbids: error: ')[2].strip())
    sys.stderr.write(said.getvalue())
    return config


def needed_paths(config: Config) -> tuple[list[Path], list[Path]]:
    """Return the folders and files that a run reads, and the folders that it writes to."""
    read = [config.bids_dir, *config.derivatives.values()]
    read += [path for path in (config.atlas_cache, config.plugin_file) if path]
    cache = os.environ.get(CACHE_VARIABLE)
    read += [Path(cache).resolve()] if cache and Path(cache).is_dir() else []
    write = [config.output_dir, config.work_dir]
    write += [config.group.fit_norms.parent] if config.group.fit_norms else []
    return list(dict.fromkeys(read)), list(dict.fromkeys(write))


def paths_in(words: Sequence[str]) -> list[Path]:
    """Return the absolute paths among words of a command, as far as they exist."""
    found = (Path(word.rpartition('=')[2]) for word in words)
    return [path for path in found if path.is_absolute() and path.exists()]


def time_limit(text: str) -> int:
    """Return a time limit of Slurm in minutes.

    Examples
    --------
    >>> time_limit('90'), time_limit('2:30:00'), time_limit('1-12'), time_limit('30:30')
    (90, 150, 2160, 31)
    """
    found = re.fullmatch(r'(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?', text.strip())
    if not found:
        raise argparse.ArgumentTypeError(f'{text!r} is no time; write 90 or 1:30:00 or 1-12')
    days, *parts = (int(part) if part else None for part in found.groups())
    first, second, third = (part or 0 for part in parts)
    if days is not None:
        seconds = ((days * 24 + first) * 60 + second) * 60 + third
    elif parts[2] is not None:
        seconds = (first * 60 + second) * 60 + third
    else:
        seconds = first * 60 + second
    if not seconds:
        raise argparse.ArgumentTypeError('a time limit of nothing; write 90 or 1:30:00 or 1-12')
    return -(-seconds // 60)


def memory_mb(text: str) -> int:
    """Return a memory size in MB, as Slurm counts them.

    Examples
    --------
    >>> memory_mb('8G'), memory_mb('500')
    (8192, 500)
    """
    found = re.fullmatch(r'(\d+)([KMGT]?)B?', text.strip().upper())
    mb = int(found[1]) * 1024 ** ' KMGT'.index(found[2] or 'M') // 1024**2 if found else 0
    if not mb:
        raise argparse.ArgumentTypeError(f'{text!r} is no memory size; write 8000 or 8G')
    return mb


def positive(text: str) -> int:
    """Return a whole number above zero."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no number above zero')
    return int(text)
