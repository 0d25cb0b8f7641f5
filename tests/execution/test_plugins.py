"""Any of Nipype's plugins runs, names what failed, and says why it cannot be used."""

import stat
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from qsmbids.execution.multiproc import SafeMultiProc
from qsmbids.execution.plugins import PluginError, make_plugin
from qsmbids.workflows.execute import execute


def add(x):
    return x + 1


def fail(x):
    raise ValueError('no brain here.\nIt matters.\nDo this.')


def settings(tmp_path, text='', **other):
    file = tmp_path / 'plugin.yml'
    file.write_text(text)
    given = {
        'nprocs': 2, 'mem_gb': 4.0, 'plugin_file': file if text else None, 'cluster': '',
        'cluster_args': '', 'run_id': '20260101-000000_0a1b2c3d', 'work_dir': tmp_path,
    }  # fmt: skip
    return SimpleNamespace(**{**given, **other})


def run(tmp_path, text):
    """Run good -> then and bad -> after; return the plugin and what the callback was told."""
    workflow = Workflow('wf', base_dir=str(tmp_path))
    workflow.config['execution'] = {
        'crashdump_dir': str(tmp_path), 'crashfile_format': 'txt', 'poll_sleep_duration': 0.1,
        'stop_on_first_crash': 'false', 'job_finished_timeout': 2,
    }  # fmt: skip
    functions = {'good': add, 'then': add, 'bad': fail, 'after': add}
    nodes = {
        k: Node(Function(function=f, output_names=['x']), name=k) for k, f in functions.items()
    }
    for name in ('good', 'bad'):
        nodes[name].inputs.x = 1
    workflow.connect([(nodes['good'], nodes['then'], [('x', 'x')])])
    workflow.connect([(nodes['bad'], nodes['after'], [('x', 'x')])])
    events = []
    plugin = make_plugin(
        settings(tmp_path, text), lambda n, status: events.append((n.name, status))
    )
    with pytest.raises((RuntimeError, ValueError)):
        workflow.run(plugin=plugin)
    plugin.stop()
    return plugin, events


def check(plugin, events):
    assert [failure.node for failure in plugin.failures] == ['wf.bad']
    assert plugin.failures[0].message == 'no brain here.\nIt matters.\nDo this.'
    assert plugin.failures[0].crash_file.endswith('.txt')
    assert ('then', 'end') in events
    assert ('bad', 'exception') in events
    assert [status for name, status in events if name == 'after'] == ['skipped']


@pytest.mark.parametrize('name', ['Linear', 'MultiProc', 'LegacyMultiProc'])
def test_local_plugins_run_and_name_what_failed(tmp_path, name):
    check(*run(tmp_path, f'plugin: {name}'))


@pytest.fixture
def fake_pbs(tmp_path, monkeypatch):
    """qsub that runs the script at once, qstat that knows no job, qdel that notes its call."""
    monkeypatch.chdir(tmp_path)  # Nipype leaves what qstat says in the current folder
    folder = tmp_path / 'bin'
    folder.mkdir()
    commands = {
        'qsub': 'for last; do :; done\nbash "$last" >/dev/null 2>&1\necho $$.server',
        'qstat': 'echo "qstat: Unknown Job Id $2" >&2; exit 153',
        'qdel': f'echo "$@" >> {tmp_path}/deleted',
    }
    for name, text in commands.items():
        (folder / name).write_text(f'#!/bin/bash\n{text}\n')
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv('PATH', f'{folder}:/usr/bin:/bin')
    monkeypatch.delenv('LOGNAME', raising=False)
    return folder


def test_batch_plugins_run_and_name_what_failed(tmp_path, fake_pbs):
    check(*run(tmp_path, 'plugin: PBS'))
    assert not (tmp_path / 'deleted').exists()


def test_nothing_is_left_where_the_run_was_started(tmp_path, fake_pbs, monkeypatch):
    (tmp_path / 'log').mkdir()
    started_in = tmp_path / 'home'
    started_in.mkdir()
    monkeypatch.chdir(started_in)
    workflow = Workflow('wf', base_dir=str(tmp_path))
    workflow.config['execution'] = {'poll_sleep_duration': 0.1, 'job_finished_timeout': 2}
    node = Node(Function(function=add, output_names=['x']), name='good')
    node.inputs.x = 1
    workflow.add_nodes([node])
    assert not execute(workflow, {}, settings(tmp_path, 'plugin: PBS'), MagicMock())
    assert not list(started_in.iterdir())
    assert list((tmp_path / 'log').glob('*.nipype')), 'nothing was left, so nothing was tested'
    assert Path.cwd() == started_in


def test_a_job_that_is_refused_fails_its_step_only(tmp_path, fake_pbs):
    (fake_pbs / 'qsub').write_text('#!/bin/bash\necho "qsub: no such queue" >&2; exit 1\n')
    text = '{plugin: PBS, plugin_args: {max_tries: 0, retry_timeout: 0}}'
    plugin, _ = run(tmp_path, text)
    assert {failure.node for failure in plugin.failures} == {'wf.good', 'wf.bad'}
    assert 'refused the job' in plugin.failures[0].message


def test_jobs_of_a_stopped_run_are_taken_back(tmp_path, fake_pbs):
    plugin = make_plugin(settings(tmp_path, 'plugin: PBS'))
    plugin._pending = {'17': '', '18': ''}
    plugin.stop()
    assert (tmp_path / 'deleted').read_text() == '17 18\n'


def test_pools_of_local_processes_keep_to_the_limits_of_the_run(tmp_path):
    plugin = make_plugin(settings(tmp_path))
    assert isinstance(plugin, SafeMultiProc)
    assert (plugin.processors, plugin.memory_gb) == (2, 4.0)
    assert not plugin.raise_insufficient
    plugin = make_plugin(settings(tmp_path, '{plugin: MultiProc, plugin_args: {n_procs: 5}}'))
    assert (plugin.processors, plugin.memory_gb) == (5, 4.0)


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        ('plugin: [', 'not YAML in line 1'),
        ('n_procs: 4', 'names no plugin'),
        ('just words', 'names no plugin'),
        ('{plugin: MultiProc, plugin_args: 4}', 'no list of names'),
        ('plugin: Slurm', "no plugin 'Slurm'"),
        ('plugin: SLURMGraph', 'waits for none'),
        ('plugin: Debug', 'no plugin for running'),
        ('plugin: IPython', 'cannot be started'),
        ("{plugin: SLURM, plugin_args: {sbatch_args: '-p \"x'}}", 'cannot be read'),
    ],
)
def test_what_cannot_be_used_is_said_in_three_lines(tmp_path, monkeypatch, text, word):
    if 'sbatch' in text:
        monkeypatch.setattr('shutil.which', lambda name: '/bin/true')
    with pytest.raises(PluginError, match=word) as caught:
        make_plugin(settings(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 3


def test_unreadable_file_and_absent_slurm_are_said_in_three_lines(tmp_path, monkeypatch):
    with pytest.raises(PluginError, match='No such file') as caught:
        make_plugin(settings(tmp_path, plugin_file=tmp_path / 'absent.yml'))
    assert len(str(caught.value).splitlines()) == 3
    monkeypatch.setenv('PATH', '/nowhere')
    with pytest.raises(PluginError, match='no sbatch here') as caught:
        make_plugin(settings(tmp_path, cluster='slurm'))
    assert len(str(caught.value).splitlines()) == 3
