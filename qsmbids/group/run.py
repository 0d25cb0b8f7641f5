"""The group level: merged tables, age curves, norms, answers about people, and a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbids.bids.dataset import write_table
from qsmbids.config import GroupOptions
from qsmbids.group.atlas_results import AtlasResults, analyse_atlas
from qsmbids.group.cohort import Cohort, read_cohort
from qsmbids.group.figures import write_figures
from qsmbids.group.merged_tables import write_tables
from qsmbids.group.missing import Missing
from qsmbids.group.page import write_group_page
from qsmbids.group.problems import Problem
from qsmbids.group.view import Analysis, GroupView

if TYPE_CHECKING:
    from qsmbids.lifespan.norms import NormSet

_PROBLEM_COLUMNS = (
    ('severity', '', 'error: something was left out; warning; note'),
    ('where', '', 'Participant, file, region or option'),
    ('what', '', 'What is wrong'),
    ('why', '', 'Why it matters'),
    ('do', '', 'What to do'),
)


_GROUP_COLUMNS = ('diagnosis', 'group')  # names that BIDS datasets use for kinds of people


class NothingFoundError(ValueError):
    """There is no table to merge."""


@dataclass(frozen=True)
class GroupResult:
    """What the group level did.

    Parameters
    ----------
    n_rows : int
        Rows of regional susceptibility that were merged.
    written : tuple of Path
        Tables, dictionaries, figures and the page.
    missing : tuple of Missing
        Participants and acquisitions without values; ``str()`` of one is a line.
    problems : tuple of Problem
        What was odd or could not be done; ``str()`` of one is a line.
    n_curves : int
        Regions with an age curve.
    failed : bool
        Whether something that was asked for could not be done at all.
    """

    n_rows: int
    written: tuple[Path, ...]
    missing: tuple[Missing, ...]
    problems: tuple[Problem, ...] = ()
    n_curves: int = 0
    failed: bool = False


def run_group(
    output_dir: Path,
    *,
    bids_dir: Path | None = None,
    participant_labels: Sequence[str] = (),
    version: str,
    expected: Sequence[str] | None = None,
    options: GroupOptions | None = None,
    norms: NormSet | None = None,
    nprocs: int = 1,
    tell: Callable[[str], None] = lambda text: None,
) -> GroupResult:
    """Merge the tables of all participants, analyse them, and write tables, figures and page.

    No image is read, and nothing but the output folder, participants.tsv, the sessions tables
    and the norm file. Running it again on the same folder gives the same bytes.

    Parameters
    ----------
    output_dir : Path
        Where the participant level wrote.
    bids_dir : Path, optional
        The raw dataset: who should be there, ages, groups, scores.
    participant_labels : sequence of str
        Restricts the rows; with or without ``sub-``.
    version : str
        Of this program, printed on the page.
    expected : sequence of str, optional
        Labels that should be there, instead of participants.tsv and the folders found.
    options : GroupOptions, optional
    norms : NormSet, optional
        To compare people with.
    nprocs : int
        Processes; the results do not depend on it.
    tell : callable
        Told what is being done, a line each.

    Raises
    ------
    NothingFoundError
        If there is no region table and no quality table.
    """
    output_dir = Path(output_dir)
    labels = tuple(sorted({label.removeprefix('sub-') for label in participant_labels}))
    options = options or GroupOptions()
    table = bids_dir / 'participants.tsv' if bids_dir else None
    tell('reading the tables')
    cohort = read_cohort(
        output_dir, participants_tsv=table if table and table.is_file() else None,
        sessions=bids_dir, labels=labels, expected=expected,
    )  # fmt: skip
    if not len(cohort.scans):
        of_whom = f' of {", ".join(labels)}' if labels else ''
        raise NothingFoundError(
            f'{output_dir} holds no region table and no quality table{of_whom}.\n'
            'The group level merges what the participant level wrote.\n'
            'Run the participant level first, into the same output folder.'
        )
    tell(f'merging the tables of {len(cohort.scans)} acquisitions')
    written, n_rows = write_tables(output_dir, cohort)
    atlases = [atlas for atlas, suffix in sorted(cohort.tables) if suffix == 'Chimap']
    found = [
        _analyse(
            cohort, atlas, output_dir, _of_atlas(options, atlas, atlases),
            norms if len(atlases) == 1 or _fits(norms, atlas) else None, bids_dir, nprocs, tell,
        )
        for atlas in atlases
    ]  # fmt: skip
    undone = _undone(options, norms, atlases)
    problems = [
        *cohort.problems,
        *_mixed_groups(cohort, options),
        *undone,
        *(p for one in found for p in one.problems),
    ]
    problems = list(dict.fromkeys(problems))
    path = output_dir / 'group_problems.tsv'
    write_table(path, [vars(problem) for problem in problems], _PROBLEM_COLUMNS)
    written += [path, path.with_suffix('.json'), *(f for one in found for f in one.files)]
    view = GroupView(
        cohort, [one.view for one in found],
        [*(a for one in found for a in one.analyses), *_quality(cohort)],
        problems, written, list(dict.fromkeys(r for one in found for r in one.remarks)),
    )  # fmt: skip
    tell('drawing the figures')
    written += write_figures(output_dir, view)
    tell('writing the page')
    page = output_dir / 'group.html'
    write_group_page(page, view, version=version)
    _remove_older(output_dir, [*written, page])
    return GroupResult(
        n_rows, (*written, page), tuple(cohort.missing), tuple(problems),
        sum(len(one.view.choices) for one in found),
        bool(undone) or any(one.failed for one in found),
    )  # fmt: skip


def _analyse(
    cohort: Cohort, atlas: str, output_dir: Path, options: GroupOptions, norms: NormSet | None,
    bids_dir: Path | None, nprocs: int, tell: Callable[[str], None],
) -> AtlasResults:  # fmt: skip
    def progress(done: int, total: int) -> None:
        if done == total or done % 25 == 0:
            tell(f'age curves of {atlas}: {done} of {total} regions')

    return analyse_atlas(
        cohort, cohort.tables[atlas, 'Chimap'], output_dir, options, norms=norms,
        dataset=_dataset_name(bids_dir), nprocs=nprocs, progress=progress,
    )  # fmt: skip


def _quality(cohort: Cohort) -> list[Analysis]:
    """Return the quality numbers of all scans as a table of the page."""
    if cohort.qc is None or not len(cohort.qc):
        return []
    words = 'What each number means stands in the report of each participant.'
    return [Analysis('Quality numbers', words, cohort.qc, (), 'group_desc-qc_Chimap.tsv')]


def _undone(options: GroupOptions, norms: NormSet | None, atlases: Sequence[str]) -> list[Problem]:
    """Return what was asked for and finds nothing that it could be asked of."""
    found = []
    asked = options.models or options.scores or options.roc or options.harmonize
    if not atlases and (asked or options.fit_norms or norms is not None):
        found.append(
            Problem(
                'No scan has a table of regional susceptibility.',
                'Curves, norms and models are of susceptibility; nothing of them was done.',
                'Run the participant level without --recon-only on scans with phase.',
                severity='error',
            )
        )
    elif norms is not None and len(atlases) > 1 and not any(_fits(norms, a) for a in atlases):
        found.append(
            Problem(
                f'The norms are of the atlas {norms.atlas}, the tables of {", ".join(atlases)}.',
                'A region of another atlas has other borders; nobody was compared.',
                'Run the participant level with that atlas, or use other norms.',
                where='--norms', severity='error',
            )
        )  # fmt: skip
    return found


def _mixed_groups(cohort: Cohort, options: GroupOptions) -> list[Problem]:
    """Say that curves and centiles are of everybody, where there are groups of people."""
    found = []
    for column in [c for c in _GROUP_COLUMNS if c in cohort.scans.columns]:
        counts = cohort.scans[column][cohort.one_each()].astype(str).value_counts()
        counts = counts[counts.index != ''].sort_index()
        if len(counts) > 1:
            words = ', '.join(f'{name} ({n})' for name, n in counts.items())
            found.append(
                Problem(
                    f'Curves, bands and centiles are of all people together: {column} {words}.',
                    'They describe this cohort, not healthy people.',
                    'For norms, use the tables of healthy people only (--participant-label).',
                    severity='warning' if options.fit_norms else 'note',
                )
            )
    return found


def _remove_older(output_dir: Path, written: Sequence[Path]) -> None:
    """Remove answers of an earlier run to what was not asked now: they would look current."""
    kept = set(written)
    for pattern in ('group_atlas-*.tsv', 'group_atlas-*.json', 'figures/group_atlas-*'):
        for path in output_dir.glob(pattern):
            if path not in kept:
                path.unlink()


def _fits(norms: NormSet | None, atlas: str) -> bool:
    """Return whether norms are of this atlas, or of any."""
    return norms is not None and (norms.follows_reference or norms.atlas == atlas)


def _of_atlas(options: GroupOptions, atlas: str, atlases: Sequence[str]) -> GroupOptions:
    """Give each of several atlases a norm file of its own."""
    file = options.fit_norms
    if file is None or len(atlases) == 1:
        return options
    return replace(options, fit_norms=file.with_stem(f'{file.stem}_atlas-{atlas}'))


def _dataset_name(bids_dir: Path | None) -> str:
    try:
        content = json.loads((bids_dir / 'dataset_description.json').read_text(encoding='utf-8'))
        return str(content.get('Name', ''))
    except (OSError, ValueError, AttributeError, TypeError):
        return ''  # for information only
