"""The group level: merged tables, age curves, norms, answers about people, and a page."""

from qsmbids.group.missing import Missing
from qsmbids.group.run import GroupResult, NothingFoundError, run_group

__all__ = ['GroupResult', 'Missing', 'NothingFoundError', 'run_group']
