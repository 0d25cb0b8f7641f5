"""What plain qsmbids refuses or warns of before it starts, told before anything is submitted."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from qsmbids.cli.participant import check_options_of
from qsmbids.config import Config
from qsmbids.execution.slurm.errors import SlurmError
from qsmbids.plan.models import Issue, Plan, Severity
from qsmbids.workflows.atlas_ages import AtlasAges, ages_outside, atlas_ages

if TYPE_CHECKING:
    from qsmbids.atlas.dataset import Atlas


def ages_of(plan: Plan, config: Config, own: argparse.Namespace) -> AtlasAges | None:
    """Return the ages of the atlas.

    Raises
    ------
    SlurmError
        If the atlas is not here, and may be in the image only.
    """
    from qsmbids.atlas.sources import UnknownAtlasError

    try:
        return atlas_ages(plan.acquisitions, config)
    except UnknownAtlasError as error:
        if own.image is None:
            raise
        raise SlurmError(
            f'The atlas {config.atlas} is not on this computer, though it may be in the image.\n'
            'The plan is made here, outside of the image, and needs the atlas as well.\n'
            f'Get the same here. {" ".join(str(error).splitlines()[2:])}'
        ) from None


def check(plan: Plan, config: Config, ages: AtlasAges | None) -> list[Issue]:
    """Compare the options with the scans; return what is worth a warning.

    Raises
    ------
    ValueError
        In three lines, for what cannot be carried out.
    """
    from qsmbids.execution.plugins import read_plugin_file

    if config.plugin_file:
        read_plugin_file(config.plugin_file)
    if plan.acquisitions and not config.reports_only:
        _check_region(config, ages)
    warnings = [
        *check_options_of(plan, config),
        *ages_outside(plan.acquisitions, ages, config),  # raises for --strict-age
    ]
    of_scans = [*plan.issues, *(i for p in plan.participants for i in p.all_issues)]
    return [issue for issue in of_scans if issue.severity is not Severity.NOTE] + warnings


def _check_region(config: Config, ages: AtlasAges | None) -> None:
    from qsmbids.atlas.builtin import NAME as BUILTIN
    from qsmbids.atlas.geometry import label_table
    from qsmbids.workflows.atlas_choice import _check_reference, open_chosen

    if ages is None:
        _check_reference(config, None)
    elif config.atlas == BUILTIN:  # its table alone: to write its images takes seconds
        table = SimpleNamespace(name=BUILTIN, labels=label_table())
        _check_reference(config, cast('Atlas', table))
    else:
        _check_reference(config, open_chosen(config))
