"""How many processors and how much memory this process may really use.

Containers and schedulers limit both without the usual counters knowing: ``os.cpu_count()``
and ``/proc/meminfo`` show the whole machine. The least of all limits counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_UNLIMITED = 1 << 60  # version 1 of cgroups writes a number near 2^63 for 'no limit'


def available_cpus(environ: Mapping[str, str] = os.environ, root: Path = Path('/')) -> int:
    """Return the number of processors: affinity, cgroup quota and scheduler together."""
    found = [len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()]
    if environ.get('SLURM_CPUS_PER_TASK', '').isdigit():
        found.append(int(environ['SLURM_CPUS_PER_TASK']))
    for folder in _cgroup_folders('cpu', root):
        quota = _cpu_quota(folder)
        if quota:
            found.append(max(1, int(quota)))
    return max(1, min(n for n in found if n))


def available_memory_gb(environ: Mapping[str, str] = os.environ, root: Path = Path('/')) -> float:
    """Return the memory in GB (10^9 bytes): free memory, cgroup limits and scheduler."""
    found = [
        int(line.split()[1]) * 1024
        for line in _read(root / 'proc/meminfo').splitlines()
        if line.startswith('MemAvailable:')
    ]
    for folder in _cgroup_folders('memory', root):
        for name in ('memory.limit_in_bytes', 'memory.max'):
            text = _read(folder / name).strip()
            if text.isdigit() and int(text) < _UNLIMITED:
                found.append(int(text))
    if environ.get('SLURM_MEM_PER_NODE', '').isdigit():
        found.append(int(environ['SLURM_MEM_PER_NODE']) * 2**20)
    return min(found) / 1e9 if found else 4.0


def _cgroup_folders(controller: str, root: Path) -> list[Path]:
    """Return the folders of this process' cgroup and of all its ancestors.

    The limit often stands some levels up (a Slurm job above its task). Inside a container
    the path named in /proc is the host's and does not exist, so the mount root is always in.
    """
    mounts = {'': root / 'sys/fs/cgroup', controller: root / 'sys/fs/cgroup' / controller}
    if controller == 'cpu':
        mounts['cpu,cpuacct'] = root / 'sys/fs/cgroup/cpu,cpuacct'
    folders = [f for f in mounts.values() if f.is_dir()]
    for line in _read(root / 'proc/self/cgroup').splitlines():
        _, _, rest = line.partition(':')
        names, _, path = rest.partition(':')
        if names and controller not in names.split(','):
            continue
        base = mounts.get(names if names in mounts else controller if names else '')
        parts = Path(path.strip('/')).parts
        folders += [base.joinpath(*parts[: n + 1]) for n in range(len(parts))]
    return [f for f in dict.fromkeys(folders) if f.is_dir()]


def _cpu_quota(folder: Path) -> float | None:
    text = _read(folder / 'cpu.max').split()  # version 2: 'max 100000' or '150000 100000'
    if len(text) == 2 and text[0].isdigit():
        return int(text[0]) / int(text[1])
    quota, period = _read(folder / 'cpu.cfs_quota_us'), _read(folder / 'cpu.cfs_period_us')
    if quota.strip().isdigit() and period.strip().isdigit() and int(period):
        return int(quota) / int(period)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''
