"""The scheduler of a run: local processes, a job for each step, or one of the user's choice."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from traceback import format_exception
from typing import Any, Protocol

_EXAMPLE = '{plugin: MultiProc, plugin_args: {n_procs: 4}}'
_LOCAL = ('MultiProc', 'LegacyMultiProc')  # they keep to a number of processors and a memory


class PluginError(ValueError):
    """A scheduler cannot be used; in three lines."""


class RunSettings(Protocol):
    """What is needed of the settings of a run."""

    nprocs: int
    mem_gb: float
    plugin_file: Path | None
    cluster: str
    cluster_args: str
    run_id: str
    work_dir: Path


def make_plugin(config: RunSettings, callback: Callable[[Any, str], None] | None = None) -> Any:
    """Return the scheduler that was asked for, mended.

    Parameters
    ----------
    config : RunSettings
        Local processes by default; jobs of Slurm for ``cluster == 'slurm'``; what
        ``plugin_file`` names, if there is one.
    callback : callable
        Called with a node and 'start', 'end' or 'exception'.

    Returns
    -------
    plugin
        For ``Workflow.run(plugin=...)``. It has ``failures``, a list of
        :class:`~qsmbids.execution.failures.Failure`, and ``stop()``, which ends at once
        whatever still runs.

    Raises
    ------
    PluginError
        In three lines, if it is unknown or cannot be used here.
    """
    if config.plugin_file:
        name, arguments = read_plugin_file(config.plugin_file)
    elif config.cluster:
        name, arguments = config.cluster.upper(), {'sbatch_args': config.cluster_args}
    else:
        name, arguments = 'MultiProc', {}
    if name in _LOCAL:
        limits = {'n_procs': config.nprocs, 'memory_gb': config.mem_gb}
        arguments = {**limits, 'raise_insufficient': False, **arguments}
    plugin = _build(name, arguments, config)
    # not in plugin_args: those are pickled with some nodes, and a callback may hold a lock
    plugin._status_callback = callback
    return plugin


def runs_elsewhere(config: RunSettings) -> bool:
    """Whether steps run on other machines, so that the limits of this one say nothing."""
    if config.plugin_file:
        return read_plugin_file(config.plugin_file)[0] not in (*_LOCAL, 'Linear')
    return bool(config.cluster)


def read_plugin_file(path: Path) -> tuple[str, dict[str, Any]]:
    """Read ``plugin`` and ``plugin_args`` from a YAML file.

    Raises
    ------
    PluginError
        In three lines, if it cannot be read or lacks something.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, 'strerror', None) or 'it is not text'
        raise PluginError(
            f'The file of --use-plugin {path} cannot be read: {why}.\n'
            'It says how the steps are to be run.\n'
            f'Give a file such as {_EXAMPLE}'
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        where = f' in line {mark.line + 1}' if mark else ''
        raise PluginError(
            f'The file of --use-plugin {path} is not YAML{where}.\n'
            'It says how the steps are to be run.\n'
            f'Mend it; a whole file is {_EXAMPLE}'
        ) from None
    name = found.get('plugin') if isinstance(found, dict) else None
    if not isinstance(name, str) or not name:
        raise PluginError(
            f'The file of --use-plugin {path} names no plugin.\n'
            'Without it there is no telling how the steps are to be run.\n'
            f'Write the key plugin, as in {_EXAMPLE}'
        )
    arguments = found.get('plugin_args') or {}
    if not isinstance(arguments, dict):
        raise PluginError(
            f'plugin_args in the file of --use-plugin {path} is no list of names and values.\n'
            f'They are the settings of {name}.\n'
            f'Write them as in {_EXAMPLE}, or leave them out.'
        )
    return name, arguments


def _build(name: str, arguments: dict[str, Any], config: RunSettings) -> Any:
    if name == 'SLURM':
        return _slurm(arguments, config)
    kind = _pool(name) if name in _LOCAL else _kind(name, config)
    try:
        return kind(arguments)
    except Exception as error:  # whatever a plugin of others may raise
        raise PluginError(
            f'The plugin {name} cannot be started: {error}\n'
            'It is part of Nipype, and may need a program or a package that is not here.\n'
            f'Mend plugin_args in {config.plugin_file or "the settings"}, or use another plugin.'
        ) from error


def _pool(name: str) -> type:
    from qsmbids.execution.multiproc import SafeLegacyMultiProc, SafeMultiProc

    return SafeMultiProc if name == 'MultiProc' else SafeLegacyMultiProc


def _slurm(arguments: dict[str, Any], config: RunSettings) -> Any:
    from qsmbids.execution.slurm_nodes import SafeSlurm

    if shutil.which('sbatch') is None:
        raise PluginError(
            'There is no sbatch here, so steps cannot be given to Slurm.\n'
            'It is found where Slurm is installed, and usually not inside a container.\n'
            'Start this on a node of the cluster, outside a container, or use qsmbids-slurm.'
        )
    try:
        shlex.split(arguments.get('sbatch_args') or '')
    except ValueError as error:
        raise PluginError(
            f'The options for sbatch cannot be read ({error}): {arguments["sbatch_args"]}\n'
            'Every job would be refused.\n'
            "Write them as in a shell, for example --cluster-args '-p long -t 2:00:00'."
        ) from None
    return SafeSlurm(arguments, work_dir=config.work_dir, run_id=config.run_id)


def _kind(name: str, config: RunSettings) -> type:
    """Return the class for the name of one of Nipype's plugins."""
    from nipype.pipeline import plugins
    from nipype.pipeline.plugins.base import DistributedPluginBase, GraphPluginBase

    from qsmbids.execution.reporting import Reporting

    if name == 'Linear':
        return _serial()
    stock = getattr(plugins, f'{name}Plugin', None)
    known = sorted(
        found.removesuffix('Plugin')
        for found in dir(plugins)
        if found.endswith('Plugin') and issubclass(getattr(plugins, found), DistributedPluginBase)
    )
    usable = ', '.join(['Linear', *known])
    if stock is None:
        raise PluginError(
            f'{config.plugin_file}: Nipype has no plugin {name!r}.\n'
            'The name says how the steps are to be run; capitals count.\n'
            f'Use one of {usable}.'
        )
    if issubclass(stock, GraphPluginBase):
        raise PluginError(
            f'{config.plugin_file}: {name} hands over all jobs and waits for none of them.\n'
            'The run would end before its results are there, and report all of them as missing.\n'
            'Use SLURM (or --cluster slurm), PBS or SGE; or qsmbids-slurm, which needs no waiting.'
        )
    if not issubclass(stock, DistributedPluginBase):
        raise PluginError(
            f'{config.plugin_file}: {name} is no plugin for running a whole workflow.\n'
            'Steps that fail could not be told from steps that worked.\n'
            f'Use one of {usable}.'
        )
    # what batch systems say, Nipype writes to stdout.nipype and stderr.nipype where it stands
    return type(f'Safe{name}', (Reporting, stock), {'leaves_files': True})


def _serial() -> type:
    """Return the class that runs one step after the other in this process."""
    from nipype.pipeline.plugins.base import DistributedPluginBase

    from qsmbids.execution.reporting import Reporting, at_once

    class Serial(Reporting, DistributedPluginBase):
        """Nipype's Linear can neither name what failed nor skip what is cached."""

        def __init__(self, plugin_args: dict[str, Any]):
            super().__init__(plugin_args)
            self._results: dict[int, dict[str, Any]] = {}

        def run(self, graph: Any, config: Any, updatehash: bool = False) -> None:
            super().run(graph, at_once(config), updatehash=updatehash)

        def _submit_job(self, node: Any, updatehash: bool = False) -> int:
            taskid = len(self._results)
            outcome: dict[str, Any] = {'result': None, 'traceback': None}
            try:
                outcome['result'] = node.run(updatehash=updatehash)
            except Exception:  # noqa: BLE001  a step may raise anything
                outcome['traceback'] = format_exception(*sys.exc_info())
            self._results[taskid] = outcome
            return taskid

        def _get_result(self, taskid: int) -> dict[str, Any]:
            return self._results[taskid]

        def _clear_task(self, taskid: int) -> None:
            self._results[taskid] = {}

    return Serial
