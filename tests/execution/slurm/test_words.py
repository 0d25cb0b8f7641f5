"""Reasons of the scheduler in words."""

import pytest

from qsmbids.execution.slurm.resources import Request
from qsmbids.execution.slurm.words import NEVER, PERHAPS, waiting


@pytest.mark.parametrize(
    ('reason', 'words', 'stuck'),
    [
        ('Dependency', 'waits for the jobs before it', ''),
        ('BeginTime', 'put back into the queue', ''),
        ('ReqNodeNotAvail, UnavailableNodes:n[1-3]', 'reserved or down', ''),
        ('QOSMaxJobsPerUserLimit', 'as many wait or run', ''),
        ('PartitionConfig', 'more than any node', NEVER),
        ('BadConstraints', 'no node is as it asks for', NEVER),
        ('QOSMaxCpuPerJobLimit', 'for each job (QOSMaxCpuPerJobLimit)', NEVER),
        ('AssocMaxWallDurationPerJobLimit', 'for each job', NEVER),
        ('QOSMinGRES', 'for each job', NEVER),
        ('AssocGrpCpuLimit', 'holds it back (AssocGrpCpuLimit)', PERHAPS),
        ('AssocGrpJobsLimit', 'as many wait or run', ''),
        ('QOSMaxCpuPerUserLimit', 'holds it back', PERHAPS),
        ('something of next year', 'something of next year', ''),
        ('', '', ''),
    ],
)
def test_waiting(reason, words, stuck):
    found = waiting(reason)
    assert (words in found[0], found[1]) == (True, stuck), found


def test_one_processor_is_one():
    assert Request(1024, 30, 1).words == '1 processor, 1 GB, 0:30 h'
