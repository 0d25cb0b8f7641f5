"""Names and sidecars of what COSMOS makes of several orientations.

The map lies in the space of the reference acquisition. Its name holds what the orientations
share, so no ``run`` or ``acq``, and ``desc-cosmos``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qsmbids.bids.names import folder, output_names
from qsmbids.bids.sidecars import sidecars
from qsmbids.plan.cosmos import CosmosGroup

PART = 'cosmos'  # of the record that the report is made from


def cosmos_names(group: CosmosGroup) -> dict[str, str]:
    """Return the outputs of a group, key to path below the output folder.

    ``chi`` is the map in ppm, ``qsm_mask`` the voxels in which it was reconstructed.
    """
    stem = f'{folder(group.entities, "anat")}/{group.key}'
    return {'chi': f'{stem}_Chimap.nii.gz', 'qsm_mask': f'{stem}_mask.nii.gz'}


def cosmos_sidecars(
    group: CosmosGroup, settings: Mapping[str, Any], facts: Mapping[str, Any], bids_dir: str
) -> dict[str, dict[str, Any]]:
    """Return the sidecars of the map and of its mask.

    Parameters
    ----------
    settings : mapping
        ``steps``: the methods up to the local field, the same for every orientation, and
        COSMOS. An inversion is among them if the local field was made with its map, and then
        ``local_field_from`` says how. ``reference_labels``: the labels of the reference
        region, if it is one of the atlas.
    facts : mapping
        ``reference``: region and value that was subtracted; ``cosmos``: ``orientations``,
        ``angles_deg`` and ``conditioning``, as `interfaces.cosmos` records them.
    """
    names, found = cosmos_names(group), facts['cosmos']
    steps = {step['stage']: step for step in settings['steps']}
    method, inversion = steps['cosmos'], steps.get('inversion')
    one = sidecars(group.reference, names, settings, facts, bids_dir)['chi']
    one.pop('PhaseScaling', None)  # may differ between the orientations
    parents = [output_names(a.entities) for a in group.acquisitions]
    # after an inversion of the total field, ``qsm_mask`` is the mask of that map, which is not
    # used; that of the local field is not written
    where = 'local_field' if inversion else 'qsm_mask'
    keys = dict.fromkeys(('local_field', 'field_noise', where, 'rss', 'brain_mask'))
    sources = [f'bids::{names[key]}' for names in parents for key in keys]
    if settings.get('reference_labels'):
        sources.append(f'bids::{settings["reference_labels"]}')
    orientations = [
        {
            'Acquisition': acquisition.key,
            'B0Direction': _rounded(orientation['b0_direction']),
            'RotationFromReference': [_rounded(row) for row in orientation['rotation']],
            'TranslationFromReference': _rounded(orientation['translation_mm']),
            'AngleToReferenceB0': round(float(angle), 2),
            **_quality(orientation),
        }
        for acquisition, orientation, angle in zip(
            group.acquisitions, found['orientations'], found['angles_deg'][0], strict=True
        )
    ]
    chi = {
        **one,
        'Description': 'Magnetic susceptibility from several orientations of the head, '
        'paramagnetic positive',
        'Sources': sources,
        'EstimationAlgorithm': method['label'],
        'EstimationReference': 'Liu et al. 2009, doi:10.1002/mrm.21828',
        'DipoleInversion': method['label'],
        'DipoleInversionParameters': dict(method['parameters']),
        **_local_field(inversion, settings),
        'ReferenceOrientation': group.reference.key,
        'Orientations': orientations,
        'OrientationAngles': [[round(float(a), 2) for a in row] for row in found['angles_deg']],
        'OrientationConditioning': round(float(found['conditioning']), 6),
        'OrientationConvention': (
            'B0Direction: unit vector along the voxel axes of this map. Rotation and '
            'translation (mm) map points of the reference scan to points of the scan, RAS. '
            'Angles in degrees, 0 to 90. Conditioning: mean square of the dipole kernel over '
            'the orientations at the worst frequency.'
        ),
    }
    mask = {
        'Type': 'ROI',
        'Description': 'Voxels in which COSMOS reconstructed susceptibility',
        'Sources': [f'bids::{names[where]}' for names in parents],
    }
    return {'chi': chi, 'qsm_mask': mask}


def _rounded(values) -> list[float]:
    return [round(float(v), 6) + 0.0 for v in values]


def _local_field(
    inversion: Mapping[str, Any] | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return how an inversion of the total field took part in the local field, if one did."""
    if inversion is None:
        return {}
    return {
        'LocalFieldFrom': settings['local_field_from'],
        'LocalFieldInversion': inversion['label'],
        'LocalFieldInversionParameters': dict(inversion['parameters']),
    }


def _quality(orientation: Mapping[str, Any]) -> dict[str, float]:
    """Return how well a scan was registered; nothing for the reference."""
    words = {'mask_dice': 'RegistrationMaskDice', 'correlation': 'RegistrationCorrelation'}
    found = orientation.get('quality') or {}
    return {words[key]: round(float(value), 4) for key, value in found.items() if key in words}
