"""What will be done: discovery, metadata rules, pre-flight checks, words for people.

`make_plan` reads a dataset and returns a `Plan`; `describe` says it in plain words.
"""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """Import the planner with its readers of images when it is asked for: half of all imports.

    `describe` cannot wait: importing the module of that name would take its place.
    """
    if name == 'make_plan':
        from qsmbids.plan.planner import make_plan

        return make_plan
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
