"""How many processors and how much memory this process may really use, and who says so.

Containers and schedulers limit both without the usual counters knowing: ``os.cpu_count()``
and ``/proc/meminfo`` show the whole machine. The least of all limits counts, and a person who
wonders at it is told where it came from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qsmbids.execution import cgroups

DEFAULT_GB = 4.0  # where nothing can be read, e.g. not on Linux
_MIB = 2**20  # schedulers write MB and mean this


@dataclass(frozen=True)
class Limit:
    """The least of several limits.

    Parameters
    ----------
    value : float
        Processors, or GB (10^9 bytes).
    source : str
        Where it comes from, in words: ``limit of the container``.
    """

    value: float
    source: str


# of schedulers: variable, and another one that must be there too, since its name is a common one
_CPU_VARIABLES = (
    ('SLURM_CPUS_PER_TASK', ''),
    ('SLURM_CPUS_ON_NODE', ''),
    ('NCPUS', 'PBS_JOBID'),
    ('PBS_NUM_PPN', ''),
    ('NSLOTS', 'JOB_ID'),
)


def cpu_limit(environ: Mapping[str, str] = os.environ, root: Path = Path('/')) -> Limit:
    """Return the processors: affinity, cgroup quota and scheduler together.

    Parameters
    ----------
    environ : mapping
        Environment variables.
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    if hasattr(os, 'sched_getaffinity'):
        own = len(os.sched_getaffinity(0))
        everything = os.cpu_count() or own
        source = 'all of the machine' if own == everything else 'those given to this process'
    else:  # not Linux
        own, source = os.cpu_count() or 1, 'all of the machine'
    found = [Limit(own, source)]
    for variable, companion in _CPU_VARIABLES:
        text = environ.get(variable, '')
        if text.isdigit() and int(text) and (not companion or companion in environ):
            found.append(Limit(int(text), variable))
    for folder in cgroups.folders('cpu', root):
        quota = cgroups.cpu_quota(folder)
        if quota:
            found.append(Limit(max(1, int(quota)), _owner_of(folder, environ, root)))
    return min(found, key=lambda limit: limit.value)


def memory_limit(environ: Mapping[str, str] = os.environ, root: Path = Path('/')) -> Limit:
    """Return the memory in GB that is still free: machine, cgroups, scheduler, ``ulimit``.

    What others in the same cgroup use counts as gone, except files that are only cached.

    Parameters
    ----------
    environ, root
        As for :func:`cpu_limit`.
    """
    found = [*_machine_memory(root), *_job_memory(environ), *_address_space()]
    for folder in cgroups.folders('memory', root):
        free = cgroups.free_bytes(folder)
        if free is not None:
            found.append(Limit(free / 1e9, _owner_of(folder, environ, root)))
    return min(found, key=lambda limit: limit.value, default=Limit(DEFAULT_GB, 'a guess'))


def available_cpus(environ: Mapping[str, str] = os.environ, root: Path = Path('/')) -> int:
    """Return the value of :func:`cpu_limit`."""
    return int(cpu_limit(environ, root).value)


def available_memory_gb(environ: Mapping[str, str] = os.environ, root: Path = Path('/')) -> float:
    """Return the value of :func:`memory_limit`."""
    return memory_limit(environ, root).value


def _machine_memory(root: Path) -> Iterator[Limit]:
    for line in cgroups.read(root / 'proc/meminfo').splitlines():
        if line.startswith('MemAvailable:'):
            yield Limit(int(line.split()[1]) * 1024 / 1e9, 'free memory of the machine')


def _job_memory(environ: Mapping[str, str]) -> Iterator[Limit]:
    """Yield what Slurm has granted; 0 stands for all memory of the node."""

    def number(name: str) -> int:
        text = environ.get(name, '')
        return int(text) if text.isdigit() else 0

    if number('SLURM_MEM_PER_NODE'):
        yield Limit(number('SLURM_MEM_PER_NODE') * _MIB / 1e9, 'SLURM_MEM_PER_NODE')
    of_each, cpus = number('SLURM_MEM_PER_CPU'), number('SLURM_CPUS_ON_NODE')
    if of_each and cpus:
        yield Limit(of_each * cpus * _MIB / 1e9, 'SLURM_MEM_PER_CPU')


def _address_space() -> Iterator[Limit]:
    """Yield the limit of ``ulimit -v``, by which Grid Engine enforces ``h_vmem``."""
    try:
        import resource
    except ImportError:  # not a Unix
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield Limit(soft / 1e9, 'ulimit -v')


def _owner_of(folder: Path, environ: Mapping[str, str], root: Path) -> str:
    """Say whose limit a cgroup is."""
    markers = ('.dockerenv', 'run/.containerenv')
    if any((root / marker).exists() for marker in markers):
        return 'limit of the container'
    jobs = ('SLURM_JOB_ID', 'PBS_JOBID', 'LSB_JOBID')
    if 'slurm' in str(folder) or any(name in environ for name in jobs):
        return 'limit of the job'
    return f'limit of the control group {folder.name}'
