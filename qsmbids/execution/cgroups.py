"""Control groups of the kernel, versions 1 and 2: where they stand and what they allow."""

from __future__ import annotations

from pathlib import Path

_UNLIMITED = 1 << 60  # version 1 writes a number near 2^63 for 'no limit'


def folders(controller: str, root: Path) -> list[Path]:
    """Return the folders of this process' cgroup and of all its ancestors.

    The limit often stands some levels up (a Slurm job above its task). Inside a container
    the path named in /proc is the host's and does not exist, so the mount root is always in.

    Parameters
    ----------
    controller : str
        'cpu' or 'memory'.
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    mounts = {'': root / 'sys/fs/cgroup', controller: root / 'sys/fs/cgroup' / controller}
    if controller == 'cpu':
        mounts['cpu,cpuacct'] = root / 'sys/fs/cgroup/cpu,cpuacct'
    found = [f for f in mounts.values() if f.is_dir()]
    for line in read(root / 'proc/self/cgroup').splitlines():
        _, _, rest = line.partition(':')
        names, _, path = rest.partition(':')
        if names and controller not in names.split(','):
            continue
        base = mounts.get(names if names in mounts else controller if names else '')
        parts = Path(path.strip('/')).parts
        found += [base.joinpath(*parts[: n + 1]) for n in range(len(parts))]
    return [f for f in dict.fromkeys(found) if f.is_dir()]


def cpu_quota(folder: Path) -> float | None:
    """Return the processors that a cgroup may use, None without a limit."""
    text = read(folder / 'cpu.max').split()  # version 2: 'max 100000' or '150000 100000'
    if len(text) == 2 and text[0].isdigit():
        return int(text[0]) / int(text[1])
    quota, period = read(folder / 'cpu.cfs_quota_us'), read(folder / 'cpu.cfs_period_us')
    if quota.strip().isdigit() and period.strip().isdigit() and int(period):
        return int(quota) / int(period)
    return None


def free_bytes(folder: Path) -> int | None:
    """Return what a cgroup may still take, None without a limit.

    That is the limit less what is in use. Files that are only cached do not count as used: the
    kernel drops them before it kills anything.
    """
    names = ('memory.limit_in_bytes', 'memory.max', 'memory.high')  # above 'high' it throttles
    limits = [n for n in (_number(folder / name) for name in names) if n and n < _UNLIMITED]
    if not limits:
        return None
    used = _number(folder / 'memory.current') or _number(folder / 'memory.usage_in_bytes') or 0
    lines = (line.split() for line in read(folder / 'memory.stat').splitlines())
    stat = {line[0]: int(line[1]) for line in lines if len(line) == 2}
    # of version 1, 'total_' includes the groups below; version 2 always does
    cached = sum(
        stat.get(f'total_{name}', stat.get(name, 0)) for name in ('inactive_file', 'active_file')
    )
    return max(0, min(limits) - max(0, used - cached))


def read(path: Path) -> str:
    """Return the text of a file, '' if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ''


def _number(path: Path) -> int | None:
    text = read(path).strip()
    return int(text) if text.isdigit() else None
