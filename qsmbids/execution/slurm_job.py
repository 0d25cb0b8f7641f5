"""One step as a batch job: its script, its options, and the files it leaves."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from nipype.pipeline.plugins.tools import create_pyscript

from qsmbids.execution import slurm_messages as messages
from qsmbids.execution import slurm_queue

FLOOR_GB = 0.6  # Python with everything imported, for steps that need next to nothing
# what a job must know of the run's surroundings, where the site does not hand them on
_SURROUNDINGS = re.compile(
    r'PATH|LD_LIBRARY_PATH|PYTHON(PATH|NOUSERSITE|HASHSEED|DONTWRITEBYTECODE)|VIRTUAL_ENV'
    r'|TMPDIR|MPL\w+|NUMBA_\w+|NIPYPE_\w+|NO_ET|\w+_NUM_THREADS|ITK_\w+|ANTS_\w+|QSMBIDS_\w+'
)
_BUSY = re.compile(
    r'timed out|unable to contact|temporarily|not available at the moment|try again'
    r'|connection refused|communication|did not answer',
    re.IGNORECASE,
)
_TOO_MANY = re.compile(r'MaxSubmit|submit limit|job submit', re.IGNORECASE)


class RefusedError(RuntimeError):
    """Slurm does not accept the job."""


class TooManyError(RuntimeError):
    """The site takes no more jobs of this person at the moment."""


@dataclass
class Job:
    """A step that was, or is about to be, given to Slurm.

    Parameters
    ----------
    command : list of str
        The whole call of sbatch.
    folder : Path
        Of the node.
    script : Path
        The Python program that runs the node.
    old : frozenset of tuple
        Results that were there before, which must not be taken for new ones.
    asked : str
        Processors and memory, in words.
    """

    command: list[str]
    folder: Path
    script: Path
    old: frozenset[tuple[str, int, int]]
    asked: str
    gone_since: float | None = None

    def results(self, also_old: bool = False) -> list[Path]:
        """Return the result in the folder of the node, if there is one by now."""
        return [
            path
            for path, identity in _results(self.folder)
            if also_old or identity not in self.old
        ]

    def crash_dump(self) -> list[Path]:
        """Return the file in which a job that could not even load its node says why."""
        path = self.script.with_name(f'crashdump_{self._suffix}.pklz')
        return [path] if path.is_file() else []

    def gone_for(self) -> float:
        """Return for how long, in s, the job has been known to be gone."""
        self.gone_since = self.gone_since or time.monotonic()
        return time.monotonic() - self.gone_since

    def log(self, number: int) -> str:
        """Return the file of what the job printed."""
        return str(self.script.with_name(f'slurm-{number}.out'))

    def tidy(self, number: int) -> None:
        """Remove what a finished job no longer needs; there are thousands of them."""
        name = f'node_{self._suffix}.pklz'
        for path in (self.script, self.script.with_suffix('.sh'), self.script.with_name(name)):
            path.unlink(missing_ok=True)
        Path(self.log(number)).unlink(missing_ok=True)

    @property
    def _suffix(self) -> str:
        return self.script.stem.removeprefix('pyscript_')


def prepare(node: Any, updatehash: bool, name: str, options: str, template: str) -> Job:
    """Write the script of a node's job.

    Parameters
    ----------
    node : nipype Node
    updatehash : bool
        See Nipype.
    name : str
        Of the job.
    options : str
        For sbatch, as in a shell; they win over what is derived from the node.
    template : str
        First lines of the script.
    """
    script = Path(create_pyscript(node, updatehash=updatehash))
    own = getattr(node, 'plugin_args', None) or {}
    if 'sbatch_args' in own:
        options = own['sbatch_args'] if own.get('overwrite') else f'{options} {own["sbatch_args"]}'
    given = shlex.split(options)
    memory_gb = max(FLOOR_GB, node.mem_gb)
    derived = [f'--chdir={script.parent}', f'--cpus-per-task={node.n_procs}']
    if not any(option.startswith('--mem') for option in given):
        derived.append(f'--mem={ceil(memory_gb * 1e9 / 2**20)}M')
    if not _has(given, '-o', '--output'):
        derived.append(f'--output={script.parent}/slurm-%j.out')
    # exec: so a signal of Slurm reaches the program and not only the shell
    call = shlex.join([sys.executable, str(script)])
    lines = [template.rstrip('\n'), *_exports(), f'exec {call}', '']
    batch = script.with_suffix('.sh')
    batch.write_text('\n'.join(lines), encoding='utf-8')
    return Job(
        command=['sbatch', *derived, *given, f'--job-name={name}', str(batch)],
        folder=Path(node.output_dir()),
        script=script,
        old=frozenset(identity for _, identity in _results(Path(node.output_dir()))),
        asked=f'asked for {node.n_procs} processors and {memory_gb:.1f} GB',
    )


def submit(job: Job, number_pattern: str) -> int:
    """Give a job to Slurm and return its number.

    Raises
    ------
    RefusedError, TooManyError
        If Slurm refuses it, for good or for now.
    SlurmSilentError
        If Slurm cannot be reached at the moment.
    """
    try:
        said = slurm_queue.ask(job.command, env=_outside())
    except slurm_queue.SlurmSilentError as error:
        if _TOO_MANY.search(str(error)):
            raise TooManyError(str(error)) from None
        if _BUSY.search(str(error)):
            raise
        raise RefusedError(messages.refused(str(error), job.asked)) from None
    found = re.search(number_pattern, said)
    if not found:
        raise RefusedError(messages.refused(f'it answered {said.strip()!r}', job.asked))
    return int(found.group(1))


def _exports() -> list[str]:
    return [
        f'export {name}={shlex.quote(_absolute(name, value))}'
        for name, value in sorted(os.environ.items())
        if _SURROUNDINGS.fullmatch(name)
    ]


def _absolute(name: str, value: str) -> str:
    """Return paths to Python code such that they hold in any folder."""
    if name != 'PYTHONPATH':
        return value
    return os.pathsep.join(os.path.abspath(part) for part in value.split(os.pathsep))


def _outside() -> dict[str, str]:
    """Return the environment without that of the job that this run may be in itself."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith('SLURM_') or name == 'SLURM_CONF'
    }


def _has(options: Sequence[str], short: str, long: str) -> bool:
    """Whether an option is given; by whole words, since --open-mode and -o begin alike."""
    return any(
        option.split('=')[0] == long or (option.startswith(short) and not option.startswith('--'))
        for option in options
    )


def _results(folder: Path) -> list[tuple[Path, tuple[str, int, int]]]:
    """Return the result files of a node with what tells one from a later one."""
    if not folder.parent.is_dir():
        return []
    os.listdir(folder.parent)  # some file servers show what is new in a folder only after this
    return [
        (path, (path.name, path.stat().st_ino, path.stat().st_mtime_ns))
        for path in folder.glob('result_*.pklz')
    ]
