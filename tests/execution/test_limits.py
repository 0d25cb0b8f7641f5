"""Limits are the least of what affinity, cgroups and the scheduler allow, and say whose."""

import os

import pytest

from qsmbids.execution.limits import (
    Limit,
    available_cpus,
    available_memory_gb,
    cpu_limit,
    memory_limit,
)


def machine(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


FREE = {'proc/meminfo': 'MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n'}


def test_cpus_of_affinity_and_slurm(tmp_path):
    assert available_cpus({}, tmp_path) == len(os.sched_getaffinity(0))
    assert cpu_limit({'SLURM_CPUS_PER_TASK': '1'}, tmp_path) == Limit(1, 'SLURM_CPUS_PER_TASK')


@pytest.mark.parametrize(
    ('environ', 'source'),
    [
        ({'SLURM_CPUS_ON_NODE': '1'}, 'SLURM_CPUS_ON_NODE'),
        ({'NCPUS': '1', 'PBS_JOBID': '7.server'}, 'NCPUS'),
        ({'PBS_NUM_PPN': '1'}, 'PBS_NUM_PPN'),
        ({'NSLOTS': '1', 'JOB_ID': '7'}, 'NSLOTS'),
    ],
)
def test_cpus_of_other_schedulers(environ, source, monkeypatch, tmp_path):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1, 2})
    assert cpu_limit(environ, tmp_path) == Limit(1, source)


def test_common_names_count_only_inside_a_job(monkeypatch, tmp_path):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1, 2})
    assert available_cpus({'NCPUS': '1', 'NSLOTS': '1'}, tmp_path) == 3
    assert available_cpus({'SLURM_CPUS_ON_NODE': '0'}, tmp_path) == 3


def test_cpu_quota_of_both_cgroup_versions(tmp_path):
    one = machine(
        tmp_path / 'one',
        {
            'proc/self/cgroup': '4:cpu,cpuacct:/docker/abc\n',
            'sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us': '100000\n',
            'sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us': '100000\n',
        },
    )
    assert available_cpus({}, one) == 1
    two = machine(
        tmp_path / 'two',
        {'proc/self/cgroup': '0::/job\n', 'sys/fs/cgroup/job/cpu.max': '100000 100000\n'},
    )
    assert available_cpus({}, two) == 1


def test_memory_limit_stands_above_the_own_group(tmp_path):
    root = machine(
        tmp_path,
        FREE
        | {
            'proc/self/cgroup': '9:memory:/slurm/job_1/step_0/task_0\n',
            'sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes': '500000000\n',
            'sys/fs/cgroup/memory/slurm/job_1/step_0/task_0/memory.limit_in_bytes':
                '9223372036854771712\n',
        },
    )  # fmt: skip
    assert memory_limit({}, root) == Limit(0.5, 'limit of the job')


def test_container_limit_stands_at_the_mount_root(tmp_path):
    root = machine(
        tmp_path,
        FREE
        | {
            'proc/self/cgroup': '9:memory:/libpod_parent/libpod-x\n',
            'sys/fs/cgroup/memory/memory.limit_in_bytes': '2000000000\n',
            'run/.containerenv': '',
        },
    )
    assert memory_limit({}, root) == Limit(2.0, 'limit of the container')


def test_memory_of_version_two_and_slurm(tmp_path):
    root = machine(
        tmp_path,
        FREE
        | {
            'proc/self/cgroup': '0::/a/b\n',
            'sys/fs/cgroup/a/memory.max': '3000000000\n',
            'sys/fs/cgroup/a/b/memory.max': 'max\n',
        },
    )
    assert memory_limit({}, root) == Limit(3.0, 'limit of the control group a')
    assert available_memory_gb({'SLURM_MEM_PER_NODE': '1000'}, root) == 1.048576
    of_each = {'SLURM_MEM_PER_CPU': '500', 'SLURM_CPUS_ON_NODE': '2'}
    assert memory_limit(of_each, root) == Limit(1.048576, 'SLURM_MEM_PER_CPU')
    assert available_memory_gb({'SLURM_MEM_PER_NODE': '0'}, root) == 3.0  # all of the node


def test_what_others_use_is_gone_but_cached_files_are_not(tmp_path):
    group = {
        'proc/self/cgroup': '0::/a\n',
        'sys/fs/cgroup/a/memory.max': '3000000000\n',
        'sys/fs/cgroup/a/memory.current': '1500000000\n',
    }
    cached = 'anon 700000000\ninactive_file 600000000\nactive_file 200000000\nshmem 9\n'
    root = machine(tmp_path, FREE | group | {'sys/fs/cgroup/a/memory.stat': cached})
    assert available_memory_gb({}, root) == pytest.approx(3.0 - 0.7)


def test_version_one_counts_the_groups_below(tmp_path):
    folder = 'sys/fs/cgroup/memory/job'
    root = machine(
        tmp_path,
        FREE
        | {
            'proc/self/cgroup': '9:memory:/job\n',
            f'{folder}/memory.limit_in_bytes': '3000000000\n',
            f'{folder}/memory.usage_in_bytes': '2000000000\n',
            f'{folder}/memory.stat': 'inactive_file 1\ntotal_inactive_file 1500000000\n',
        },
    )
    assert available_memory_gb({}, root) == pytest.approx(2.5)


def test_throttling_begins_at_the_high_mark(tmp_path):
    files = {
        'proc/self/cgroup': '0::/a\n',
        'sys/fs/cgroup/a/memory.max': 'max\n',
        'sys/fs/cgroup/a/memory.high': '1000000000\n',
    }
    assert available_memory_gb({}, machine(tmp_path, FREE | files)) == 1.0


def test_free_memory_of_the_machine(tmp_path):
    limit = memory_limit({}, machine(tmp_path, FREE))
    assert limit == Limit(pytest.approx(8.192), 'free memory of the machine')


def test_limit_of_the_address_space(monkeypatch, tmp_path):
    import resource

    monkeypatch.setattr(resource, 'getrlimit', lambda _: (2_000_000_000, -1))
    assert memory_limit({}, machine(tmp_path, FREE)) == Limit(2.0, 'ulimit -v')
