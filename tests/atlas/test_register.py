"""Registration recovers a known deformation, says when it failed, and is repeatable."""

import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from qsmbids.atlas.errors import AtlasError, RegistrationError
from qsmbids.atlas.images import read_image, read_mask, write_image
from qsmbids.atlas.register import PRESETS, register_to_template
from qsmbids.atlas.registration_quality import check_quality
from qsmbids.atlas.transforms import labels_to_native, map_to_native, map_to_template

SEED = 7
GOOD = {
    'mask_dice': 0.95, 'fov_coverage': 1.0, 'ncc': 0.5, 'structure_match': 0.5,
    'chi_correlation': 0.9, 'volume_ratio': 0.8, 'jacobian_min': 0.6, 'jacobian_max': 1.6,
    'folded_fraction': 0.0, 'centre_distance_mm': 3.0, 'deep_grey_overlap': 0.8,
    'deep_grey_contrast': 1.0, 'turned_deg': 0.0,
}  # fmt: skip


def dice_by_label(atlas, found, true):
    return {
        b.name: 2 * ((found == b.index) & (true == b.index)).sum()
        / ((found == b.index).sum() + (true == b.index).sum())
        for b in atlas.labels
    }  # fmt: skip


@pytest.fixture(scope='module')
def registered(scan, template, tmp_path_factory):
    folder = tmp_path_factory.mktemp('registration')
    registration = register_to_template(
        magnitude=scan.magnitude, chi=scan.chi, mask=scan.mask, template=template,
        out_dir=folder, preset='fast', seed=SEED,
    )  # fmt: skip
    return registration, folder


def test_scan_is_what_the_test_says(scan):
    chi, affine = read_image(scan.chi)
    brain = read_mask(scan.mask)[0]
    assert abs(chi[brain].mean(dtype=float)) < 1e-8  # the case in which ANTs fails by itself
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    assert np.degrees(np.arccos(np.abs(axes).max(axis=0))).max() > 19  # oblique


def test_labels_are_recovered_in_an_oblique_flipped_scan_far_from_the_origin(
    scan, template, atlas, registered, tmp_path
):
    out = labels_to_native(
        registered[0].inverse, template.dseg, scan.magnitude, tmp_path / 'dseg.nii'
    )
    found, affine = read_image(out)
    assert np.allclose(affine, scan.affine, atol=1e-3)
    dice = dice_by_label(atlas, found, scan.labels)
    deep = [dice[b.name] for b in atlas.labels if b.group == 'deep grey']
    assert np.mean(deep) > 0.82
    assert min(deep) > 0.6
    assert np.mean(list(dice.values())) > 0.8
    # left is left: an exchange of sides would give a Dice of zero
    assert min(dice['PutamenLeft'], dice['PutamenRight']) > 0.85


def test_quality_of_a_good_registration(registered):
    quality = registered[0].quality
    assert set(quality) == set(GOOD)
    assert quality['mask_dice'] > 0.95
    assert quality['chi_correlation'] > 0.9
    assert quality['structure_match'] > 0.4
    assert quality['folded_fraction'] == 0
    assert quality['turned_deg'] == 0  # 20 degrees of obliqueness are in the header
    assert quality['deep_grey_overlap'] > 0.65
    assert 0.6 < quality['deep_grey_contrast'] < 1.5
    # the head is 3 % wider, 5 % shorter and 2 % higher when seen from the scan
    assert quality['volume_ratio'] == pytest.approx(1 / (1.03 * 0.95 * 1.02), abs=0.08)
    assert quality['mask_dice'] > 0.9
    assert quality['chi_correlation'] > 0.3


def test_maps_in_both_spaces_look_alike(scan, template, registered, tmp_path):
    registration = registered[0]
    brain = read_mask(scan.mask)[0]
    expected = read_image(
        map_to_native(
            registration.inverse, template.chi, scan.chi, tmp_path / 'a.nii', mask=scan.mask
        )
    )[0]
    nuclei = (scan.labels > 0) & brain
    assert np.corrcoef(expected[nuclei], read_image(scan.chi)[0][nuclei])[0, 1] > 0.85
    path = map_to_template(registration.forward, scan.chi, template.chi, tmp_path / 'b.nii')
    normalised = read_image(path)[0]
    regions = read_image(template.dseg)[0] > 0
    chi = read_image(template.chi)[0]
    assert np.corrcoef(normalised[regions], chi[regions])[0, 1] > 0.85
    assert nib.load(path).header['sform_code'] == 4


@pytest.mark.slow
def test_t1w_leads_and_is_aligned_without_interpolation(scan, template, atlas, tmp_path):
    registration = register_to_template(
        magnitude=scan.magnitude, chi=scan.chi, mask=scan.mask, template=template,
        out_dir=tmp_path, t1w=scan.t1w, preset='fast', seed=SEED,
    )  # fmt: skip
    corners = scan.affine @ np.array([(0, 0, 0, 1), (71, 0, 55, 1), (0, 79, 0, 1)]).T
    error = (registration.gre_to_t1w @ corners - scan.t1w_motion @ corners)[:3]
    assert np.linalg.norm(error, axis=0).max() < 0.7  # mm, voxels have 3 mm
    assert registration.quality['ncc'] > 0.8
    found = read_image(
        labels_to_native(registration.inverse, template.dseg, scan.magnitude, tmp_path / 'd.nii')
    )[0]
    assert np.mean(list(dice_by_label(atlas, found, scan.labels).values())) > 0.85


@pytest.mark.slow
def test_a_header_turned_by_a_quarter_is_survived_and_said(scan, template, atlas, tmp_path):
    wrong = np.eye(4)
    wrong[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    files = {
        name: write_image(tmp_path / f'{name}.nii', read_image(path)[0], wrong @ scan.affine)
        for name, path in (('magnitude', scan.magnitude), ('chi', scan.chi), ('mask', scan.mask))
    }
    registration = register_to_template(
        **files, template=template, out_dir=tmp_path / 'r', preset='fast', seed=SEED
    )
    assert registration.quality['turned_deg'] == pytest.approx(90, abs=20)
    found = read_image(
        labels_to_native(
            registration.inverse, template.dseg, files['magnitude'], tmp_path / 'd.nii'
        )
    )[0]
    dice = dice_by_label(atlas, found, scan.labels)
    assert np.mean([dice[b.name] for b in atlas.labels if b.group == 'deep grey']) > 0.8


@pytest.mark.slow
def test_susceptibility_of_somebody_else_shows_in_the_quality(scan, template, tmp_path):
    brain = read_mask(scan.mask)[0]
    noise = 0.02 * np.random.default_rng(1).standard_normal(brain.shape)
    chi = write_image(
        tmp_path / 'chi.nii', np.where(brain, noise, 0).astype(np.float32), scan.affine
    )
    quality = register_to_template(
        magnitude=scan.magnitude, chi=chi, mask=scan.mask, template=template,
        out_dir=tmp_path / 'r', preset='fast', seed=SEED,
    ).quality  # fmt: skip
    assert quality['deep_grey_overlap'] < 0.6  # the limit of workflows/qc.py
    assert quality['deep_grey_contrast'] < 0.3
    assert quality['chi_correlation'] < 0.3


@pytest.mark.slow
def test_precise_completes_and_places_the_nuclei(scan, template, atlas, tmp_path, monkeypatch):
    """With fewer iterations: it is the joining of whole brain and box that is tested."""
    fewer = replace(PRESETS['precise'], syn_iterations=(30, 15, 3), box_iterations=(8, 2))
    monkeypatch.setitem(PRESETS, 'precise', fewer)
    registration = register_to_template(
        magnitude=scan.magnitude, chi=scan.chi, mask=scan.mask, template=template,
        out_dir=tmp_path, preset='precise', seed=SEED,
    )  # fmt: skip
    assert registration.quality['folded_fraction'] == 0
    found = read_image(
        labels_to_native(registration.inverse, template.dseg, scan.magnitude, tmp_path / 'd.nii')
    )[0]
    dice = dice_by_label(atlas, found, scan.labels)
    assert np.mean([dice[b.name] for b in atlas.labels if b.group == 'deep grey']) > 0.85


REPEAT = """
import sys
from pathlib import Path
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.register import register_to_template
from qsmbids.atlas.transforms import map_to_template
scan, atlas, out = map(Path, sys.argv[1:])
template = open_atlas(atlas).files('6')
registration = register_to_template(
    magnitude=scan / 'magnitude.nii', chi=scan / 'chi.nii', mask=scan / 'mask.nii',
    template=template, out_dir=out, preset='fast', seed=7,
)
map_to_template(registration.forward, scan / 'chi.nii', template.chi, out / 'repeated.nii')
"""


@pytest.mark.slow
def test_same_seed_in_another_process_gives_the_same_bits(
    scan, atlas_folder, template, registered, tmp_path
):
    subprocess.run(
        [sys.executable, '-c', REPEAT, scan.chi.parent, atlas_folder, tmp_path], check=True
    )
    here = map_to_template(
        registered[0].forward, scan.chi, template.chi, registered[1] / 'here.nii'
    )
    assert np.array_equal(read_image(here)[0], read_image(tmp_path / 'repeated.nii')[0])


def test_a_scan_without_anatomy_is_refused(scan, template, tmp_path):
    noise = np.random.default_rng(0).random(scan.labels.shape).astype(np.float32)
    magnitude = write_image(tmp_path / 'noise.nii', noise, scan.affine)
    with pytest.raises(RegistrationError, match='anatomy does not match') as info:
        register_to_template(
            magnitude=magnitude, chi=scan.chi, mask=scan.mask, template=template,
            out_dir=tmp_path / 'r', preset='fast', seed=SEED,
        )  # fmt: skip
    assert len(str(info.value).splitlines()) == 3


@pytest.mark.parametrize(
    ('name', 'value'),
    [('mask_dice', 0.4), ('fov_coverage', 0.02), ('structure_match', 0.03), ('volume_ratio', 4.0),
     ('folded_fraction', 0.1), ('centre_distance_mm', 7e7), ('structure_match', float('nan'))],
)  # fmt: skip
def test_every_limit_is_checked(name, value):
    check_quality(GOOD)
    with pytest.raises(RegistrationError, match=name):
        check_quality(GOOD | {name: value})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'preset': 'best'}, 'no registration preset'),
        ({'chi': 'zero'}, 'zero everywhere'),
        ({'mask': 'zero'}, 'zero everywhere'),
        ({'chi': 'small'}, 'same grid'),
        ({'magnitude': 'nan'}, 'NaN'),
        ({'chi_mask': 'small'}, 'same grid'),
    ],
)
def test_inputs_are_checked_before_ants_sees_them(scan, template, tmp_path, change, message):
    ones = np.ones(scan.labels.shape, np.float32)
    files = {
        'zero': write_image(tmp_path / 'zero.nii', ones * 0, scan.affine),
        'nan': write_image(tmp_path / 'nan.nii', ones * np.nan, scan.affine),
        'small': write_image(tmp_path / 'small.nii', ones[:5], scan.affine),
    }
    inputs = {'magnitude': scan.magnitude, 'chi': scan.chi, 'mask': scan.mask}
    inputs |= {key: files.get(value, value) for key, value in change.items()}
    with pytest.raises(AtlasError, match=message) as info:
        register_to_template(**inputs, template=template, out_dir=tmp_path / 'r')
    assert len(str(info.value).splitlines()) == 3
    assert not (tmp_path / 'r').exists()
