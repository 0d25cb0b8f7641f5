"""Dataset-level tables and the group page, from what the participant level wrote."""

from qsmbids.group.missing import Missing
from qsmbids.group.run import GroupResult, NothingFoundError, run_group

__all__ = ['GroupResult', 'Missing', 'NothingFoundError', 'run_group']
