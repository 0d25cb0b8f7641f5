"""The small files around the region tables of a simulated cohort."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from qsmbids import __version__
from qsmbids.atlas.region_columns import data_dictionary
from qsmbids.bids.dataset import to_tsv
from qsmbids.lifespan.prior import NOTICE
from qsmbids.phantom.cohort_people import Truth
from qsmbids.phantom.files import BIDS_VERSION

RUN_ID = '20000101-000000_simulated'  # fixed, so that equal arguments give equal files

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>sub-{label}</title></head>
<body><h1>sub-{label}</h1>
<p>Simulated at table level by qsmbids {version}: there are no images, and so no report.</p>
<p><a href="group.html">Back to the group</a></p></body></html>
"""
_README = """# A simulated lifespan cohort, tables only

People who do not exist, made by qsmbids {version}. There are no images: the folder
`derivatives/qsmbids` beside this dataset holds the tables that the participant level would write.
Susceptibility follows the age curves of qsmbids ({notice}). Sex has no effect.
"""
_PARTICIPANTS = {
    'age': {'Description': 'Age at the first visit', 'Units': 'year'},
    'sex': {
        'Description': 'Label without any effect on the numbers',
        'Levels': {'F': 'female', 'M': 'male'},
    },
    'site': {'Description': 'Simulated scanner; each shifts every region a little'},
    'diagnosis': {
        'Description': 'Simulated; patients have more susceptibility in the substantia nigra',
        'Levels': {'control': 'healthy', 'patient': 'simulated disease'},
    },
    'score': {
        'Description': 'Simulated clinical score, higher is worse; in patients it follows the '
        'susceptibility of the substantia nigra'
    },
}
_SESSIONS = {
    'acq_time': {'Description': 'Time of the simulated visit'},
    'age': {'Description': 'Age at the visit', 'Units': 'year'},
}
# mean and SD of plausible quality numbers, and their unit
_QC = {
    'field_noise_hz': (0.5, 0.08, 'Hz'), 'residual_wrap_fraction': (0.003, 0.0005, ''),
    'chi_sd_ppb': (28.0, 2.0, 'ppb'), 'streak_score': (0.9, 0.05, ''),
    'rim_sd_ratio': (1.2, 0.1, ''), 'mask_dice': (0.975, 0.004, ''),
    'brain_volume_ml': (1350.0, 100.0, 'ml'), 'reliable_fraction': (0.98, 0.004, ''),
    'eroded_fraction': (0.2, 0.01, ''), 'field_snr': (7.0, 0.5, ''),
    'sign_check_ppb': (45.0, 5.0, 'ppb'), 'r2star_median': (19.0, 1.0, '1/s'),
    'structure_match': (0.8, 0.03, ''), 'fov_coverage': (1.0, 0.0, ''),
    'chi_correlation': (0.6, 0.04, ''), 'deep_grey_overlap': (0.75, 0.03, ''),
    'deep_grey_contrast': (0.9, 0.05, ''), 'turned_deg': (0.0, 0.0, 'degrees'),
    'jacobian_min': (0.5, 0.03, ''), 'jacobian_max': (2.0, 0.1, ''),
    'folded_fraction': (0.0, 0.0, ''),
}  # fmt: skip
_REFERENCES = {'csf': 'cerebrospinal fluid'}


def dataset_files(truth: Truth) -> dict[str, str]:
    """Return name and text of the files of the raw dataset itself."""
    people = truth.people
    rows = [
        {
            'participant_id': f'sub-{label}', 'age': float(people.age[i, 0]),
            'sex': people.sex[i], 'site': people.site[i], 'diagnosis': people.diagnosis[i],
            'score': float(people.score[i]),
        }
        for i, label in enumerate(people.labels)
    ]  # fmt: skip
    description = {
        'Name': 'Simulated lifespan cohort, tables only',
        'BIDSVersion': BIDS_VERSION,
        'DatasetType': 'raw',
        'License': 'CC0',
        'Authors': ['The qsmbids developers'],
        'GeneratedBy': [{'Name': 'qsmbids phantom', 'Version': __version__}],
    }
    return {
        'dataset_description.json': json_text(description),
        'README.md': _README.format(version=__version__, notice=NOTICE),
        'participants.tsv': to_tsv(rows, ['participant_id', *_PARTICIPANTS]),
        'participants.json': json_text(_PARTICIPANTS),
    }


def session_table(visits: Sequence[tuple[str, str, float]]) -> dict[str, str]:
    """Return the end of the name, and the text, of sessions.tsv and its dictionary."""
    rows = [{'session_id': s, 'acq_time': t, 'age': float(age)} for s, t, age in visits]
    return {
        'sessions.tsv': to_tsv(rows, ['session_id', *_SESSIONS]),
        'sessions.json': _sessions_json(),
    }


def chi_sidecar(age: float, reference: Mapping[str, Any], field_strength_t: float) -> dict:
    """Return what stands beside a susceptibility map, as far as it says anything here."""
    return {
        'Description': 'Simulated at table level; there is no image',
        'Units': 'ppm',
        'Manufacturer': 'Simulated',
        'ManufacturersModelName': 'qsmbids phantom',
        'SoftwareVersions': __version__,
        'MagneticFieldStrength': field_strength_t,
        'AgeYears': age,
        'PhaseSignConvention': 'paramagnetic positive',
        'SusceptibilityReference': reference['region'],
        'SusceptibilityReferenceValue': reference['value_ppm'],
        'SusceptibilityReferenceVoxels': reference['n_voxels'],
        'WholeBrainMean': reference['whole_brain_mean_ppm'],
        'WholeBrainSD': reference['whole_brain_sd_ppm'],
    }


def records(
    key: str, names: Mapping[str, str], atlas: Mapping[str, Any], reference: Mapping[str, Any]
) -> dict[str, dict]:
    """Return what the participant level records of its two parts."""
    settings = {
        'steps': [],
        'atlas': atlas,
        'reference': reference['region'],
        'software': {'qsmbids': __version__},
    }
    facts = {'atlas': atlas, 'reference': reference}
    written = {'recon': ('qc',), 'atlas': ('regions_chi',)}
    return {
        part: {
            'key': key, 'part': part, 'names': {k: names[k] for k in keys}, 'settings': settings,
            'facts': facts, 'figures': [], 'steps': [],
        }
        for part, keys in written.items()
    }  # fmt: skip


def qc_table(rng: np.random.Generator) -> dict[str, str]:
    """Return extension and text of the table of quality numbers and its dictionary."""
    means, sds = np.array([v[:2] for v in _QC.values()]).T
    values = means + sds * rng.standard_normal(len(means))
    return {'.tsv': to_tsv([dict(zip(_QC, values.tolist(), strict=True))], list(_QC)),
            '.json': _qc_json()}  # fmt: skip


@cache
def _qc_json() -> str:
    entries = {}
    for name, (_, _, unit) in _QC.items():
        entries[name] = {'Description': 'Simulated'} | ({'Units': unit} if unit else {})
    return json_text(entries)


@cache
def _sessions_json() -> str:
    return json_text(_SESSIONS)


def region_dictionary(reference: str) -> str:
    """Return the JSON beside a region table."""
    return json_text(data_dictionary('chi', 'ppm', _REFERENCES.get(reference, reference)))


def json_text(content: Mapping[str, Any]) -> str:
    """Return JSON, readable by people."""
    return json.dumps(content, indent=2, ensure_ascii=False) + '\n'
