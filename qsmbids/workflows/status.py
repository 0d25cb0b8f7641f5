"""How a run ended for a participant, as a file that the group level and later runs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qsmbids.bids import names as bids_names
from qsmbids.bids.write import write_json
from qsmbids.config import Config
from qsmbids.plan.models import Participant
from qsmbids.workflows.outcome import Outcome


def write_status(
    person: Participant, outcomes: Sequence[Outcome], config: Config,
    cosmos: Sequence[Outcome] = (),
) -> None:  # fmt: skip
    """Write ``sub-X/log/<run>/status.json``: acquisitions, COSMOS maps, and findings."""
    states, cosmos_states = (
        {
            o.acquisition.key: {
                'status': 'complete' if o.complete else 'failed',
                'message': o.reason,
            }
            for o in some
        }
        for some in (outcomes, cosmos)
    )
    issues = [{**asdict(issue), 'severity': str(issue.severity)} for issue in person.all_issues]
    path = config.output_dir / f'sub-{person.label}' / 'log' / config.run_id / 'status.json'
    content = {'command': config.command, 'acquisitions': states, 'issues': issues}
    write_json(path, content | ({'cosmos': cosmos_states} if cosmos else {}))


def is_reported(person: Participant, output_dir: Path) -> bool:
    """Return whether page and newest status tell of the same scans and findings as the plan."""
    page = output_dir / bids_names.report_path(person.label)
    # names of runs begin with the time
    known = sorted((output_dir / f'sub-{person.label}' / 'log').glob('*/status.json'))
    if not page.is_file() or not known:
        return False
    try:
        status = json.loads(known[-1].read_text(encoding='utf-8'))
        return _told(status) == (
            sorted(a.key for a in person.usable),
            sorted(group.key for group in person.cosmos),
            sorted([i.code, i.scope] for i in person.all_issues),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _told(status: dict[str, Any]) -> tuple[list, list, list]:
    return (
        sorted(status['acquisitions']),
        sorted(status.get('cosmos', {})),
        sorted([issue['code'], issue['scope']] for issue in status['issues']),
    )
