"""A small graph run with jobs of Slurm, as a program that tests can kill.

usage: small_graph.py WORK_DIR [options of sbatch] < JSON list of [name, kind, after, memory_gb]

A step of each kind: 'add' one, 'wait' until a file named release is in WORK_DIR (and note in
a file that it began and ended), 'eat' more memory than it asked for, 'fail'. Prints JSON.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from nipype import Node, Workflow, config
from nipype.interfaces.utility import Function

from qsmbids.execution.environment import prepare_environment
from qsmbids.execution.plugins import make_plugin
from qsmbids.execution.slurm_nodes import LeftoverJobsError, cancel_leftovers


def add(x, work):
    return x + 1


def wait(x, work):
    import os
    import pathlib
    import time

    notes = pathlib.Path(work) / 'notes'
    with open(notes, 'a') as stream:
        stream.write(f'begin {os.getcwd()}\n')
    while not (pathlib.Path(work) / 'release').exists():
        time.sleep(0.2)
    with open(notes, 'a') as stream:
        stream.write(f'end {os.getcwd()}\n')
    return x + 1


def eat(x, work):
    return len(bytearray(b'x') * 2**30)


def fail(x, work):
    raise ValueError('no brain here.\nIt matters.\nDo this.')


def surroundings(x, work):
    import os
    import sys

    names = ('TMPDIR', 'ANTS_RANDOM_SEED', 'OMP_NUM_THREADS', 'SLURM_CPUS_PER_TASK')
    return [sys.executable, *(os.environ.get(name, '') for name in names)]


KINDS = {f.__name__: f for f in (add, wait, eat, fail, surroundings)}


def main(work, sbatch_args=''):
    work_dir = Path(work)
    prepare_environment(work_dir, seed=7)
    config.update_config(
        {
            'execution': {
                'crashdump_dir': work,
                'crashfile_format': 'txt',
                'hash_method': 'timestamp',
                'stop_on_first_crash': 'false',
                'poll_sleep_duration': '0.1',
            }
        }
    )
    workflow = Workflow('wf', base_dir=work)
    nodes = {}
    for name, kind, after, memory_gb in json.load(sys.stdin):
        function = Function(function=KINDS[kind], output_names=['x'])
        nodes[name] = Node(function, name=name, mem_gb=memory_gb, n_procs=1)
        nodes[name].inputs.work = work
        workflow.add_nodes([nodes[name]])
        if after:
            workflow.connect(nodes[after], 'x', nodes[name], 'x')
        else:
            nodes[name].inputs.x = 1
    events = []
    said = {'leftovers': cancel_leftovers(work_dir)}
    settings = SimpleNamespace(
        nprocs=1, mem_gb=4.0, plugin_file=None, cluster='slurm', cluster_args=sbatch_args,
        run_id='20260101-000000_0a1b2c3d-0000', work_dir=work_dir,
    )  # fmt: skip
    plugin = make_plugin(settings, lambda node, status: events.append([node.name, status]))
    print(json.dumps({'name': plugin.job_name, **said}), flush=True)
    graph = None
    try:
        graph = workflow.run(plugin=plugin)
    except RuntimeError as error:
        if not plugin.failures:
            raise
        said['error'] = str(error)
    results = {}
    for node in graph.nodes() if graph else ():
        results[node.name] = node.result.outputs.x
    failures = {failure.node: failure.message for failure in plugin.failures}
    print(json.dumps({**said, 'failures': failures, 'events': events, 'results': results}))


if __name__ == '__main__':
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(*sys.argv[1:])
    except LeftoverJobsError as error:
        sys.exit(str(error))
