"""The built-in atlas QSMLifespan: a folder in BIDS and TemplateFlow layout, made on demand.

Anatomy: the MNI152 template that ships with nilearn and the region geometry table, an adult
average at every age. Values: an engineering prior, not published values. Both are said in
every description file. The age bins are a design of this project. The layout is that of
`qsmbids.atlas.writer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsmbids.atlas.builtin_texts import builtin_credits
from qsmbids.atlas.contrast import builtin_drawing
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.writer import AtlasContent, cohort_bins, write_atlas

__all__ = ['NAME', 'VERSION', 'cohort_bins', 'write_builtin']

NAME = 'QSMLifespan'
VERSION = '1.1.0'  # of the atlas: goes up with every change of its images or tables


def write_builtin(root: Path, cohorts: Sequence[str] | None = None) -> Path:
    """Write the atlas, or those of its files that are missing or of another version.

    Parameters
    ----------
    root : Path
        The atlas goes into ``root/QSMLifespan``.
    cohorts : sequence of str, optional
        Labels of the age bins whose images are wanted; by default all. The descriptions
        always cover all bins.

    Returns
    -------
    Path
        ``root/QSMLifespan``.

    Raises
    ------
    ValueError
        If there is no such age bin.
    """
    bins = {cohort.label: cohort for cohort in cohort_bins()}
    wanted = list(bins) if cohorts is None else list(cohorts)
    unknown = [label for label in wanted if label not in bins]
    if unknown:
        raise ValueError(
            f'the atlas {NAME} has no cohort {", ".join(unknown)}.\n'
            'A cohort is an age bin.\n'
            f'Use one of: {", ".join(f"{c.label} {c.interval}" for c in bins.values())}.'
        )
    labels = label_table()
    content = AtlasContent(
        credits=builtin_credits(NAME, VERSION),
        labels=labels,
        drawing=builtin_drawing(),
        first_midline=min(label.index for label in labels if label.hemisphere == 'B'),
    )
    return write_atlas(root, content, [bins[label] for label in wanted])
