"""Slurm's reasons for waiting, and numbers, in words."""

from __future__ import annotations

import re

NEVER, PERHAPS = 'never', 'perhaps'  # whether what waits will ever begin
CAN_NEVER = 'can never start: '

_WAITS = {
    'BeginTime': 'was put back into the queue and may begin again in a minute',
    'Cleaning': 'was put back into the queue, its last attempt is being cleared away',
    'Dependency': 'waits for the jobs before it',
    'JobArrayTaskLimit': 'as many run as --max-running allows',
    'JobHeldAdmin': 'held by the administrators of the cluster',
    'JobHeldUser': 'held; scontrol release lets it go',
    'Licenses': 'waits for a licence',
    'NodeDown': 'its node is down',
    'PartitionDown': 'the partition takes no jobs now',
    'PartitionInactive': 'the partition takes no jobs now',
    'Priority': 'others come first',
    'ReqNodeNotAvail': 'nodes are reserved or down',
    'Reservation': 'waits for a reservation',
    'Resources': 'waits for free processors and memory',
}
_NEVER = {
    'AccountNotAllowed': 'this account may not use the partition',
    'BadConstraints': 'no node is as it asks for',
    'DependencyNeverSatisfied': 'a job that it waits for failed',
    'InvalidAccount': 'the account is not known',
    'InvalidQOS': 'the QOS is not known',
    'MaxMemPerLimit': 'it asks for more memory than a job may have',
    'PartitionConfig': 'it asks for more than any node of the partition has',
    'PartitionNodeLimit': 'it asks for more nodes than the partition allows',
    'PartitionTimeLimit': 'it asks for more time than the partition allows',
    'QOSNotAllowed': 'this QOS may not use the partition',
}
_OF_ONE_JOB = re.compile(r'(Assoc|QOS)(Max\w*Per(Job|Node)(Limit)?|Min\w+)')
_OF_JOBS = re.compile(r'(Assoc|QOS)\w*(Jobs?|Submit)\w*')  # more will begin when others end
_OF_ACCOUNT = re.compile(r'(Assoc(Grp|Max)|QOS(Grp|Max)|Max(?=\w+PerAccount))\w+')


def waiting(reason: str) -> tuple[str, str]:
    """Return what a reason of squeue means, and whether it will 'never' or 'perhaps' not begin.

    Examples
    --------
    >>> waiting('Dependency')
    ('waits for the jobs before it', '')
    >>> waiting('PartitionTimeLimit')
    ('can never start: it asks for more time than the partition allows (PartitionTimeLimit)', 'never')
    """  # noqa: E501
    found = re.match(r'\w+', reason)
    key = found[0] if found else ''
    if key in _WAITS:
        return _WAITS[key], ''
    if key in _NEVER:
        return f'{CAN_NEVER}{_NEVER[key]} ({key})', NEVER
    if _OF_ONE_JOB.fullmatch(key):
        return f'{CAN_NEVER}a limit of the account or QOS for each job ({key})', NEVER
    if _OF_JOBS.fullmatch(key):
        return f'as many wait or run as the account or QOS allows ({key})', ''
    if _OF_ACCOUNT.fullmatch(key):
        return f'a limit of the account or QOS holds it back ({key})', PERHAPS
    return reason, ''


def count(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, 'element'), count(2, 'element')
    ('1 element', '2 elements')
    """
    return f'{n} {noun}{"" if n == 1 else "s"}'
