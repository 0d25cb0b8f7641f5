"""Two nodes that never end, as a program that tests can end: stuck_graph.py WORK_DIR PLUGIN.

Prints the process ids of the workers, one per line, once they are in a call that returns to
Python only after years.
"""

import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from qsmbids.execution.plugins import make_plugin


def stuck(x, work):
    import os
    import pathlib

    (pathlib.Path(work) / f'pid-{os.getpid()}').touch()
    return sum(range(10**15))


def tell(work):
    while len(found := list(work.glob('pid-*'))) < 2:
        time.sleep(0.05)
    print('workers', *(path.name.removeprefix('pid-') for path in found), flush=True)


work = Path(sys.argv[1])
(work / 'plugin.yml').write_text(f'plugin: {sys.argv[2]}\n')
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
workflow = Workflow('wf', base_dir=str(work))
for x in range(2):
    node = Node(Function(function=stuck), name=f'n{x}')
    node.inputs.x = x
    node.inputs.work = str(work)
    workflow.add_nodes([node])
threading.Thread(target=tell, args=(work,), daemon=True).start()
settings = SimpleNamespace(
    nprocs=2, mem_gb=4.0, plugin_file=work / 'plugin.yml', cluster='', cluster_args='',
    run_id='', work_dir=work,
)  # fmt: skip
workflow.run(plugin=make_plugin(settings))
