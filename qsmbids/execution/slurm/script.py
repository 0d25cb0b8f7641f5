"""The text of the batch scripts: readable, and complete without the environment of the caller."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbids.execution.slurm.element import NAME
from qsmbids.execution.slurm.resources import Request

WARNING_S = 120  # the program is asked to stop this long before the time limit

_NEEDS_APPTAINER = (
    'container=apptainer',
    'command -v apptainer > /dev/null || container=singularity  # its older name',
    'if ! command -v $container > /dev/null; then',
    '    echo "There is no apptainer on $(hostname), so the image cannot be started." >&2',
    "    echo 'The program and all that it needs are in the image.' >&2",
    '    echo "Give --setup with what makes it known: --setup \'module load apptainer\'" >&2',
    '    exit 2',
    'fi',
)


@dataclass(frozen=True)
class Site:
    """What a site wants to know of every job.

    Parameters
    ----------
    partition, account : str
        '' for the default.
    further : str
        Other options of sbatch, as written.
    setup : str
        A line of the script before the program, such as ``module load apptainer``.
    """

    partition: str = ''
    account: str = ''
    further: str = ''
    setup: str = ''

    def lines(self) -> list[str]:
        """Return them as directives."""
        found = [('partition', self.partition), ('account', self.account)]
        lines = [f'#SBATCH --{key}={_word(value)}' for key, value in found if value]
        return lines + ([f'#SBATCH {self.further}'] if self.further else [])


@dataclass(frozen=True)
class Container:
    """The image that the program runs in.

    Parameters
    ----------
    image : Path
    read, write : sequence of Path
        Folders (and files) that the program needs, under the same names inside.
    """

    image: Path
    read: Sequence[Path]
    write: Sequence[Path]

    def checks(self) -> list[str]:
        """Return lines that say what a node lacks, in words of this program."""
        image = _word(str(self.image))
        return [
            *_NEEDS_APPTAINER,
            f'if [ ! -r {image} ]; then',
            f'    printf "The image %s cannot be read on $(hostname).\\n" {image} >&2',
            "    echo 'The program and all that it needs are in the image.' >&2",
            "    echo 'Put it on a file system that all nodes see, and give --image anew.' >&2",
            '    exit 2',
            'fi',
        ]

    def command(self) -> list[str]:
        """Return what stands before a command that is to run inside.

        No --workdir: the program needs no temporary folder but the one in its work folder, and
        Apptainer would leave the mount points of folders below /tmp and HOME in it.
        """
        binds = [f'--bind={p}:{p}:ro' for p in self.read] + [f'--bind={p}' for p in self.write]
        head = ['$container', 'exec', '--cleanenv', '--containall']
        return [*head, *(_word(word) for word in (*binds, str(self.image)))]


@dataclass(frozen=True)
class Work:
    """What the elements of one array, or a job without elements, are to do.

    Parameters
    ----------
    folder : Path
        Of this submission: script, list and logs.
    traces : Path
        Folder of the traces.
    job_name : str
    title : str
        First line of the script, for people.
    python : str
        The Python that starts the elements.
    command : sequence of str
        What is run for each name; ``{name}`` stands for it.
    elements : sequence of sequence of str
    request : Request
    site : Site
    most : int
        Elements that may run at once; 0 for no limit.
    container : Container, optional
    environment : mapping
        Variables that the program needs.
    array : bool
        Whether it is an array at all.
    """

    folder: Path
    traces: Path
    job_name: str
    title: str
    python: str
    command: Sequence[str]
    elements: Sequence[Sequence[str]]
    request: Request
    site: Site
    most: int = 0
    container: Container | None = None
    environment: Mapping[str, str] | None = None
    array: bool = True

    @property
    def script(self) -> Path:
        """The batch script."""
        return self.folder / 'job.sh'

    @property
    def list(self) -> Path:
        """The list of names, a line for each element."""
        return self.folder / 'participants.txt'

    def log(self, element: int) -> Path:
        """Return the log of an element (from 1)."""
        return self.folder / f'log-{element}.txt'


def script_text(work: Work) -> str:
    """Return the batch script."""
    request = work.request
    number = '"$SLURM_ARRAY_TASK_ID"' if work.array else '1'
    job = '"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"' if work.array else '"$SLURM_JOB_ID"'
    throttle = f'%{work.most}' if work.most else ''
    log = str(work.folder).replace('%', '%%') + f'/log-{"%a" if work.array else "1"}.txt'
    lines = [
        '#!/bin/bash',
        f'# {work.title}',
        f'#SBATCH --job-name={work.job_name}',
        *([f'#SBATCH --array=1-{len(work.elements)}{throttle}'] if work.array else []),
        '#SBATCH --nodes=1',
        '#SBATCH --ntasks=1',
        f'#SBATCH --cpus-per-task={request.cpus}',
        f'#SBATCH --mem={request.mem_mb}M',
        f'#SBATCH --time={request.minutes}',
        f'#SBATCH --chdir={_word(str(work.folder))}',
        f'#SBATCH --output={_word(log)}',
        '#SBATCH --open-mode=append',
        '# Ask the program to stop before the end: it does so in order, a later job goes on.',
        f'#SBATCH --signal=B:TERM@{WARNING_S}',
        *work.site.lines(),
        # before the rules for errors: what sites provide is often not written for them
        *filter(None, [work.site.setup]),
        'set -euo pipefail',
        *(f'export {k}={shlex.quote(v)}' for k, v in (work.environment or {}).items()),
    ]
    start = [_word(work.python), '-m', 'qsmbids.execution.slurm.element']
    if work.container is not None:
        lines += work.container.checks()
        start = [*work.container.command(), *start]
    start += [_word(str(work.list)), number, '--traces', _word(str(work.traces)), '--job', job]
    start += ['--minutes', str(request.minutes), '--']
    lines += [
        '',
        f'# One line of {work.list.name} for each element; {NAME} stands for the person.',
        '# exec makes this the process that the scheduler asks to stop.',
        ' \\\n    '.join([f'exec {_wrapped(start)}', _wrapped(list(map(_word, work.command)))]),
    ]
    return '\n'.join(lines) + '\n'


def _wrapped(words: Sequence[str], width: int = 90) -> str:
    """Join words, with line breaks that the shell does not see."""
    lines = ['']
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append('')
        lines[-1] += f' {word}' if lines[-1] else word
    return ' \\\n    '.join(lines)


def _word(text: str) -> str:
    """Quote for the shell; the same quotes are understood in directives.

    Examples
    --------
    >>> _word('{name}'), _word("/data/a b")
    ('{name}', "'/data/a b'")
    """
    plain = text.replace(NAME, 'name')  # its braces mean nothing to the shell
    return text if shlex.quote(plain) == plain else shlex.quote(text)
