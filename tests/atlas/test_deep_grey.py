"""The overlap with the person's iron is high in place, low beside it, and NaN in children."""

import numpy as np
import pytest

from qsmbids.atlas.dataset import AtlasFiles
from qsmbids.atlas.deep_grey import deep_grey_agreement
from qsmbids.atlas.images import write_image
from qsmbids.atlas.initial_pose import write_matrix

SHAPE = (48, 52, 44)
AFFINE = np.diag((1.5, 1.5, 1.5, 1.0))


@pytest.fixture
def agreement(tmp_path):
    """Compare a person with a template whose two nuclei have a given susceptibility."""
    index = np.indices(SHAPE)
    brain = ((index - np.array(SHAPE)[:, None, None, None] / 2) ** 2).sum(0) < 21**2
    labels = np.zeros(SHAPE, np.int16)
    labels[14:20, 20:30, 18:26] = 1
    labels[28:34, 20:30, 18:26] = 2
    identity = write_matrix(np.eye(4), tmp_path / 'identity.mat')
    mask = write_image(tmp_path / 'mask.nii', brain, AFFINE)

    def run(template_ppm, person):
        chi = np.where(labels > 0, template_ppm, 0.001).astype(np.float32)
        files = AtlasFiles(
            chi=write_image(tmp_path / 'chi.nii', chi, AFFINE), mask=mask,
            dseg=write_image(tmp_path / 'dseg.nii', labels, AFFINE),
        )  # fmt: skip
        noisy = person(labels) + 0.008 * np.random.default_rng(0).standard_normal(SHAPE)
        path = write_image(tmp_path / 'person.nii', noisy.astype(np.float32), AFFINE)
        found = deep_grey_agreement(str(identity), path, mask, files)
        return found['deep_grey_overlap'], found['deep_grey_contrast']

    return run


def test_in_place(agreement):
    overlap, contrast = agreement(0.1, lambda labels: 0.08 * (labels > 0) + 0.2)
    assert overlap > 0.95
    assert contrast == pytest.approx(0.8, abs=0.05)


def test_beside_the_nuclei(agreement):
    right = agreement(0.1, lambda labels: 0.1 * (labels > 0))[0]
    beside = agreement(0.1, lambda labels: 0.1 * (np.roll(labels, 4, axis=1) > 0))[0]
    assert beside < right - 0.3


def test_a_person_without_the_expected_iron_is_not_left_out(agreement):
    overlap, contrast = agreement(0.1, lambda labels: 0.0 * labels)
    assert overlap < 0.5
    assert abs(contrast) < 0.05
    assert agreement(0.1, lambda labels: -0.1 * (labels > 0))[0] == 0


def test_a_child_is_not_judged_by_iron_it_cannot_have(agreement):
    assert np.isnan(agreement(0.02, lambda labels: 0.02 * (labels > 0))).all()
