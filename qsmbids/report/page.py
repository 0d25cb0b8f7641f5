"""The page of one participant: a single HTML file that needs nothing else.

Pictures are inlined, style and the few lines of script too; a content security policy in the
page forbids any request, so that it reads the same offline, from a disk, in ten years.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qsmbids.bids.write import write_text
from qsmbids.plan.models import Participant, Severity
from qsmbids.report.chart import STYLE
from qsmbids.report.models import AcquisitionResult, Status
from qsmbids.report.view import HEADLINES, acquisition_view, issue_view

_RANK = (Status.COMPLETE, Status.WARNINGS, Status.FAILED)


def write_participant_page(
    path: Path,
    *,
    participant: Participant,
    results: Sequence[AcquisitionResult],
    command: str,
    version: str,
    run_id: str,
) -> None:
    """Write the page of a participant, also when nothing of them could be processed.

    Parameters
    ----------
    path : Path
        ``sub-<label>.html``; replaced atomically.
    participant : Participant
        From the plan, with all findings.
    results : sequence of AcquisitionResult
        One for each acquisition that was tried, also the failed ones, and each COSMOS map.
    command, version, run_id : str
        How the run was started, by which version, and its identifier.
    """
    views = [acquisition_view(result, i) for i, result in enumerate(results, start=1)]
    tried = {result.key for result in results}
    skipped = [
        {'key': a.key, 'issues': [issue_view(i) for i in a.issues]}
        for a in participant.acquisitions
        if a.key not in tried
    ]
    status = overall_status(participant, results)
    errors = [(view, error) for view in views for error in view['errors']]
    findings = [view for view in views if view['issues']]
    html = render(
        'participant.html.j2',
        label=participant.label,
        status=status.value,
        verdict=verdict(status, participant, results),
        views=views,
        headline=[(view, view['qc'][:HEADLINES]) for view in views if view['qc']],
        skipped=skipped,
        issues=[issue_view(issue) for issue in participant.issues],
        errors=errors,
        findings_at=f'{findings[0]["prefix"]}-findings' if findings else 'findings',
        has_findings=bool(findings or skipped or participant.issues),
        command=command,
        version=version,
        run_id=run_id,
    )
    write_text(Path(path), html)


def overall_status(participant: Participant, results: Sequence[AcquisitionResult]) -> Status:
    """Return the worst of all acquisitions; one that was left out counts as a warning."""
    if not results:
        return Status.FAILED
    worst = max((Status(r.status) for r in results), key=_RANK.index)
    severities = {issue.severity for issue in participant.all_issues}
    if worst is Status.COMPLETE and severities & {Severity.ERROR, Severity.WARNING}:
        return Status.WARNINGS
    return worst


def verdict(status: Status, participant: Participant, results: Sequence[AcquisitionResult]) -> str:
    """Return the verdict in one sentence."""
    if not results:
        return 'Nothing of this participant could be processed.'
    together = {group.key for group in participant.cosmos}
    maps = sum(r.key in together for r in results)
    count = len(results) - maps
    scans = f'{count} acquisition{"s" if count > 1 else ""}'
    if maps:
        scans += f' and {maps} COSMOS map{"s" if maps > 1 else ""}'
    failed = sum(Status(r.status) is Status.FAILED for r in results)
    skipped = len(participant.acquisitions) - count
    left_out = f' {skipped} left out.' if skipped > 0 else ''
    if status is Status.FAILED:
        return f'{failed} of {scans} failed.{left_out}'
    if status is Status.WARNINGS:
        return f'{scans} finished; something needs a look.{left_out}'
    return f'{scans} finished, all promised outputs were written.'


def render(template: str, **values: Any) -> str:
    """Fill a template of this package; every value is escaped unless marked as safe."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / 'templates'
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (folder / 'style.css').read_text(encoding='utf-8') + STYLE
    script = (folder / 'page.js').read_text(encoding='utf-8')
    return environment.get_template(template).render(style=style, script=script, **values)
