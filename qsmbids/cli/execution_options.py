"""Options of how a run is carried out: processors, memory, folders, schedulers."""

from __future__ import annotations

import argparse
from pathlib import Path

from qsmbids.cli.reconstruction import both
from qsmbids.config import CLUSTERS, DEFAULT_SEED


def add_execution(group: argparse._ArgumentGroup) -> None:
    """Add the options to a group of the parser."""
    group.add_argument(
        '-w', *both('work-dir'), type=Path, metavar='PATH',
        help='intermediate files; keep it to resume (default: ./work)',
    )  # fmt: skip
    group.add_argument(
        '--nprocs', '--nthreads', *both('n-cpus'), type=int, metavar='N', dest='nprocs',
        help='processors to use in all (default: what this process may use)',
    )  # fmt: skip
    group.add_argument(
        *both('omp-nthreads'), type=int, metavar='N',
        help='threads of one step (default: processors / acquisitions, at most 8)',
    )  # fmt: skip
    group.add_argument(
        '--mem', *both('mem-mb'), type=memory_gb, metavar='SIZE', dest='mem_gb',
        help='memory to use: a bare number is MB, or with K, M, G, T (default: what is free)',
    )  # fmt: skip
    group.add_argument(
        *both('random-seed'), type=int, default=DEFAULT_SEED, metavar='N',
        help='seed of the registration; equal seeds give equal results',
    )  # fmt: skip
    group.add_argument(
        *both('dry-run'), action='store_true', help='say what would be done and why, and exit'
    )
    group.add_argument(
        *both('reports-only'), action='store_true',
        help='make the pages again from the results of an earlier run',
    )  # fmt: skip
    group.add_argument(
        *both('clean-workdir'), action='store_true', help='empty the work folder first'
    )
    group.add_argument(
        '--wait', type=float, default=0.0, metavar='MINUTES',
        help='wait so long for another run to leave the work folder, instead of ending at once',
    )  # fmt: skip
    group.add_argument(
        *both('keep-work'), action='store_true',
        help='keep the steps of finished acquisitions (default: the work folder shrinks)',
    )  # fmt: skip
    group.add_argument(
        *both('redo'), action='store_true',
        help='repeat acquisitions that are finished and unchanged; they are left alone otherwise',
    )  # fmt: skip
    group.add_argument(
        *both('stop-on-first-crash'), action='store_true', help='do not go on with the others'
    )
    group.add_argument(
        *both('use-plugin'), *both('nipype-plugin-file'), type=Path, metavar='FILE',
        dest='use_plugin', help='YAML with plugin and plugin_args for Nipype',
    )  # fmt: skip
    group.add_argument(
        '--cluster', choices=CLUSTERS, default='',
        help='make every step a job of this scheduler; qsmbids-slurm makes one of each person',
    )  # fmt: skip
    group.add_argument(
        *both('cluster-args'), default='', metavar='OPTIONS',
        help='further options of those jobs, in quotes: "--partition=long --account=lab"',
    )  # fmt: skip
    group.add_argument(
        *both('resource-monitor'), action='store_true',
        help='record processors and memory of every step in the log folder',
    )  # fmt: skip
    group.add_argument('-v', '--verbose', action='count', default=0, help='say more; -vv, -vvv')
    group.add_argument('--notrack', action='store_true', help='accepted; nothing is ever sent')


def bind_dashed(argv: list[str]) -> list[str]:
    """Bind the value of ``--cluster-args`` to it, which begins with a dash and looks lost.

    Examples
    --------
    >>> bind_dashed(['--cluster-args', '--partition=long', '-v'])
    ['--cluster-args=--partition=long', '-v']
    """
    found: list[str] = []
    for word in argv:
        if found and found[-1] in both('cluster-args'):
            found[-1] += f'={word}'
        else:
            found.append(word)
    return found


def memory_gb(text: str) -> float:
    """Return a memory size in GB (10^9 bytes).

    Examples
    --------
    >>> memory_gb('8000'), memory_gb('8G'), memory_gb('512M')
    (8.0, 8.0, 0.512)
    """
    factor = {'K': 1e-6, 'M': 1e-3, 'G': 1.0, 'T': 1e3}
    body = text.strip().upper().removesuffix('B')
    unit = body[-1:] if body[-1:] in factor else ''
    try:
        value = float(body.removesuffix(unit)) * factor[unit or 'M']
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f'{text!r} is no memory size; write 8000, 8G or 512M')
    return value
