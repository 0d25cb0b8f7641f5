"""What Slurm may answer, acted by small scripts; tests/cluster has the real one."""

import stat
from types import SimpleNamespace

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from qsmbids.execution import slurm_nodes
from qsmbids.execution.plugins import make_plugin

FAKES = {
    # runs the script at once, unless there is something else to say
    'sbatch': """
        echo "$@" >> DIR/submitted
        if [ -s DIR/answers ]; then
            answer=$(head -n 1 DIR/answers); sed -i 1d DIR/answers
            if [ "$answer" = lost ]; then echo Submitted batch job $$; exit; fi
            if [ "$answer" = held ]; then
                echo "$$|PENDING|PartitionTimeLimit" > DIR/queue
                echo Submitted batch job $$; exit
            fi
            echo "sbatch: error: $answer" >&2; exit 1
        fi
        for script; do :; done
        bash "$script" > /dev/null 2>&1
        echo Submitted batch job $$
    """,
    'squeue': 'cat DIR/queue 2>/dev/null; true',
    'scancel': 'echo "$@" >> DIR/cancelled; rm -f DIR/queue',
    'scontrol': '[ -f DIR/state ] && echo "JobId=1 JobState=$(cat DIR/state) ExitCode=0:9"',
    'sacct': '[ -f DIR/account ] && cat DIR/account',
}


def add(x):
    return x + 1


@pytest.fixture(autouse=True)
def fakes(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_nodes, 'POLL_S', 0.1)
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in FAKES.items():
        (folder / name).write_text('#!/bin/bash\n' + text.replace('DIR', str(tmp_path)))
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv('PATH', f'{folder}:/usr/bin:/bin')


def run(tmp_path, names='a', **arguments):
    workflow = Workflow('wf', base_dir=str(tmp_path))
    workflow.config['execution'] = {
        'crashdump_dir': str(tmp_path), 'crashfile_format': 'txt', 'job_finished_timeout': 1,
        'stop_on_first_crash': 'false', 'hash_method': 'timestamp',
    }  # fmt: skip
    for x, name in enumerate(names, start=1):
        node = Node(Function(function=add, output_names=['x']), name=name, mem_gb=1.5, n_procs=2)
        node.inputs.x = arguments.pop('x', x)
        workflow.add_nodes([node])
    settings = SimpleNamespace(
        nprocs=1, mem_gb=4.0, plugin_file=tmp_path / 'plugin.yml', cluster='', cluster_args='',
        run_id='', work_dir=tmp_path,
    )  # fmt: skip
    arguments = {'retry_timeout': 0, **arguments}
    settings.plugin_file.write_text(f'plugin: SLURM\nplugin_args: {arguments}\n')
    plugin = make_plugin(settings)
    try:
        workflow.run(plugin=plugin)
    except RuntimeError:
        assert plugin.failures
    return plugin


def submitted(tmp_path):
    return (tmp_path / 'submitted').read_text().splitlines()


def test_options_come_from_the_node_and_yours_win(tmp_path):
    run(tmp_path, sbatch_args='-c 3 --open-mode=append')
    call = submitted(tmp_path)[0]
    assert '--mem=1431M' in call
    assert call.index('--cpus-per-task=2') < call.index('-c 3')
    assert '--output=' in call
    run(tmp_path, x=5, sbatch_args='--mem-per-cpu=2G -o mine.txt')
    call = submitted(tmp_path)[1]
    assert '--mem=' not in call
    assert '--output=' not in call


def test_a_busy_controller_is_asked_again(tmp_path):
    (tmp_path / 'answers').write_text('Unable to contact slurm controller\nSocket timed out\n')
    assert run(tmp_path).failures == []
    assert len(submitted(tmp_path)) == 3


def test_a_controller_that_stays_away_is_a_failure(tmp_path):
    (tmp_path / 'answers').write_text('Socket timed out\n' * 9)
    assert 'Socket timed out' in run(tmp_path, max_tries=2).failures[0].message
    assert len(submitted(tmp_path)) == 3


def test_no_more_jobs_than_the_site_takes(tmp_path):
    (tmp_path / 'answers').write_text('lost\nQOSMaxSubmitJobPerUserLimit\n')
    (tmp_path / 'state').write_text('CANCELLED')
    plugin = run(tmp_path, names='abc')
    assert plugin.max_jobs == 1
    assert len(plugin.failures) == 1  # the one that was lost; the others ran later
    assert len(submitted(tmp_path)) == 4


def test_a_job_that_can_never_start_is_cancelled(tmp_path):
    (tmp_path / 'answers').write_text('held\n')
    assert 'PartitionTimeLimit' in run(tmp_path).failures[0].message
    assert (tmp_path / 'cancelled').read_text()


@pytest.mark.parametrize(
    ('file', 'text', 'words'),
    [
        ('state', 'OUT_OF_MEMORY', 'more than the memory it was given (asked for 2 processors'),
        ('account', 'CANCELLED by 0|0:0', 'somebody cancelled it'),
        ('account', 'RUNNING|0:0', 'vanished'),
        ('state', 'FAILED', 'exit code 0:9'),
    ],
)
def test_the_reason_is_told_in_three_lines(tmp_path, file, text, words):
    (tmp_path / 'answers').write_text('lost\n')
    (tmp_path / file).write_text(text)
    message = run(tmp_path).failures[0].message
    assert words in message
    assert len(message.splitlines()) == 3


def test_the_result_of_an_earlier_run_is_not_taken_for_a_new_one(tmp_path):
    assert run(tmp_path).failures == []
    (tmp_path / 'answers').write_text('lost\n')
    (tmp_path / 'state').write_text('CANCELLED')
    assert len(run(tmp_path, x=7).failures) == 1
