"""Limits are the least of what affinity, cgroups and the scheduler allow."""

import os

from qsmbids.execution.limits import available_cpus, available_memory_gb


def machine(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_cpus_of_affinity_and_slurm(tmp_path):
    assert available_cpus({}, tmp_path) == len(os.sched_getaffinity(0))
    assert available_cpus({'SLURM_CPUS_PER_TASK': '1'}, tmp_path) == 1


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
        {
            'proc/meminfo': 'MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n',
            'proc/self/cgroup': '9:memory:/slurm/job_1/step_0/task_0\n',
            'sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes': '500000000\n',
            'sys/fs/cgroup/memory/slurm/job_1/step_0/task_0/memory.limit_in_bytes':
                '9223372036854771712\n',
        },
    )  # fmt: skip
    assert available_memory_gb({}, root) == 0.5


def test_container_limit_stands_at_the_mount_root(tmp_path):
    root = machine(
        tmp_path,
        {
            'proc/meminfo': 'MemAvailable: 8000000 kB\n',
            'proc/self/cgroup': '9:memory:/libpod_parent/libpod-x\n',
            'sys/fs/cgroup/memory/memory.limit_in_bytes': '2000000000\n',
        },
    )
    assert available_memory_gb({}, root) == 2.0


def test_memory_of_version_two_and_slurm(tmp_path):
    root = machine(
        tmp_path,
        {
            'proc/meminfo': 'MemAvailable: 8000000 kB\n',
            'proc/self/cgroup': '0::/a/b\n',
            'sys/fs/cgroup/a/memory.max': '3000000000\n',
            'sys/fs/cgroup/a/b/memory.max': 'max\n',
        },
    )
    assert available_memory_gb({}, root) == 3.0
    assert available_memory_gb({'SLURM_MEM_PER_NODE': '1000'}, root) == 1.048576
