"""What the page of a participant shows of a COSMOS map."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmbids.bids import names as bids_names
from qsmbids.bids.cosmos import PART
from qsmbids.plan.cosmos import MIN_ANGLE_DEG, MIN_ORIENTATIONS, CosmosGroup
from qsmbids.report.models import AcquisitionResult, Figure, QCValue, Status
from qsmbids.workflows.outcome import Outcome

EVERY_DIRECTION = 4 / 45  # conditioning of orientations that cover the sphere evenly
# ranges are rules of thumb of this project, as those in ``workflows.qc``
_MOST_AMPLIFICATION = 8.0


def cosmos_result(
    outcome: Outcome, output_dir: Path, errors: Sequence[Mapping[str, Any]]
) -> AcquisitionResult:
    """Collect what the page shows of a group.

    Parameters
    ----------
    outcome : Outcome
        Of a `CosmosGroup`.
    output_dir : Path
    errors : sequence of mapping
        What failed, as for an acquisition.
    """
    group = outcome.acquisition
    record = _read_record(group, output_dir)
    qc = quality_values(record)
    if not outcome.complete:
        status = Status.FAILED
    elif any(not value.plausible for value in qc):
        status = Status.WARNINGS
    else:
        status = Status.COMPLETE
    return AcquisitionResult(
        key=group.key,
        status=status,
        figures=[
            Figure(**{**figure, 'path': output_dir / figure['path']})
            for figure in record.get('figures', ())
        ],
        qc=qc,
        reference=record.get('facts', {}).get('reference') or {},
        steps=record.get('steps', ()),
        errors=errors,
        outputs=[path for path in outcome.names.values() if (output_dir / path).is_file()],
    )


def quality_values(record: Mapping[str, Any]) -> list[QCValue]:
    """Return the quality numbers of a COSMOS map; none when there is no record."""
    found = record.get('facts', {}).get('cosmos')
    if not found:
        return []
    steps = {k: v for step in record.get('steps', ()) for k, v in step.items()}
    angles = np.asarray(found['angles_deg'])
    apart = angles[np.triu_indices(len(angles), 1)]
    worst = [scan['quality'] for scan in found['orientations'] if scan.get('quality')]
    return [
        QCValue('orientations', len(angles), '', MIN_ORIENTATIONS, None,
                'Scans that the map was made from.'),
        QCValue('smallest_angle', float(apart.min()), 'degrees', MIN_ANGLE_DEG, None,
                'Smallest angle between the field directions of two scans, in the head.'),
        QCValue('noise_amplification', math.sqrt(EVERY_DIRECTION / found['conditioning']), '',
                None, _MOST_AMPLIFICATION,
                'Noise at the worst frequency against that of scans in all directions; high: '
                'turn the head further, and about two axes.'),
        QCValue('registration_correlation', min(q['correlation'] for q in worst), '', 0.5, None,
                'Likeness of the magnitudes after registration, of the worst scan.'),
        QCValue('chi_sd_ppb', steps.get('chi_sd_ppb'), 'ppb', 10.0, 100.0,
                'Spread of susceptibility in the map; high: noise or misregistration.'),
        QCValue('streak_score', steps.get('streak_score'), '', None, 1.5,
                'Power of the map in the cone of zeros of the reference scan against elsewhere; '
                'above 1: streaks.'),
    ]  # fmt: skip


def _read_record(group: CosmosGroup, output_dir: Path) -> dict[str, Any]:
    path = output_dir / bids_names.record_path(group.participant, group.key, PART)
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}  # the sink did not get so far; the missing outputs say so
