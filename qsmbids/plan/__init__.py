"""What will be done: discovery, metadata rules, pre-flight checks, words for people.

`make_plan` reads a dataset and returns a `Plan`; `describe` says it in plain words.
"""

from qsmbids.plan.describe import describe
from qsmbids.plan.models import (
    Acquisition,
    Decision,
    Echo,
    Issue,
    Participant,
    PhaseScaling,
    Plan,
    Severity,
    Source,
)
from qsmbids.plan.planner import make_plan

__all__ = [
    'Acquisition',
    'Decision',
    'Echo',
    'Issue',
    'Participant',
    'PhaseScaling',
    'Plan',
    'Severity',
    'Source',
    'describe',
    'make_plan',
]
