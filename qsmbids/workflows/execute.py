"""Carrying out one graph: the settings of Nipype, the scheduler, the progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import chdir, nullcontext
from typing import Any

from nipype import Workflow
from nipype import config as nipype_config
from nipype import logging as nipype_logging

from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.execution.plugins import make_plugin
from qsmbids.execution.progress import Progress


def execute(
    graph: Workflow, titles: Mapping[str, str], config: Config, progress: Progress,
    also: Callable[[Any, str], None] | None = None,
) -> list[Failure]:  # fmt: skip
    """Carry out a graph; steps that fail are returned, never raised.

    Parameters
    ----------
    graph : Workflow
    titles : mapping of str to str
        Name of a node or of a workflow in the graph to what a person reads.
    config : Config
    progress : Progress
        Shows it; may span several graphs.
    also : callable, optional
        Called, after the progress, with a node and 'start', 'end' or 'exception'.
    """
    progress.add_graph(graph, titles)

    def tell(node: Any, status: str) -> None:
        progress(node, status)
        if also is not None:
            also(node, status)

    plugin = make_plugin(config, tell)
    leaves_files = getattr(plugin, 'leaves_files', False)
    place = chdir(config.work_dir / 'log') if leaves_files else nullcontext()
    with place:
        try:
            graph.run(plugin=plugin)
        except Exception as error:
            # Nipype raises again what it has reported: one as it is, several as one error
            reported = isinstance(error, RuntimeError) or error in plugin._run_errors
            if not (plugin.failures and reported):
                raise
        finally:
            plugin.stop()
    progress.end_graph()
    return plugin.failures


def configure_nipype(config: Config) -> None:
    """Set what Nipype reads from its own configuration."""
    crash = config.work_dir / 'crash'
    logs = config.work_dir / 'log'
    for folder in (crash, logs):
        folder.mkdir(parents=True, exist_ok=True)
    nipype_config.update_config(
        {
            'execution': {
                'poll_sleep_duration': 0.1,
                'crashdump_dir': str(crash),
                'crashfile_format': 'txt',
                'stop_on_first_crash': str(config.stop_on_first_crash).lower(),
                'hash_method': 'timestamp',
                'check_version': 'false',
                'create_report': 'false',
                'remove_unnecessary_outputs': 'false',
            },
            'logging': {'log_directory': str(logs), 'log_to_file': 'false'},
        }
    )
    nipype_logging.update_logging(nipype_config)
    level = {0: 'CRITICAL', 1: 'WARNING', 2: 'INFO'}.get(config.verbose, 'DEBUG')
    for name in ('nipype', 'nipype.workflow', 'nipype.interface', 'nipype.utils'):
        logging.getLogger(name).setLevel(level)
