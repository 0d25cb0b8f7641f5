"""The Nipype shell of the susceptibility-weighted images."""

import nibabel as nib
import numpy as np
import pytest

from qsmbids import methods, qsm
from qsmbids.interfaces.base import grid_of
from qsmbids.interfaces.contrast import Contrast, contrast_inputs
from qsmbids.qsm.projection import ProjectionParameters, project_minimum
from qsmbids.qsm.swi import make_swi
from qsmbids.qsm.tswi import TswiParameters, make_tswi

NEEDS = {
    'swi': ('magnitude', 'phase'),
    'clear-swi': ('magnitude', 'unwrapped'),
    'tswi': ('rss', 'chi'),
    'smwi': ('rss', 'chi'),
}
TIMES = [0.006, 0.015]
SHAPE = (14, 13, 10)
AFFINE = np.diag([-1.0, 1.1, 2.0, 1.0])


@pytest.fixture
def files(tmp_path, monkeypatch):
    """One file for each input, and a run in its own folder."""
    rng = np.random.default_rng(0)
    echoes = (*SHAPE, len(TIMES))
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:12, 2:11, 1:9] = 1
    images = {
        'magnitude': 50 + 5 * rng.standard_normal(echoes),
        'phase': rng.uniform(-3, 3, echoes),
        'unwrapped': 4 * rng.standard_normal(echoes),
        'chi': 0.2 * rng.standard_normal(SHAPE),
        'rss': 70 + 5 * rng.standard_normal(SHAPE),
        'brain_mask': mask,
    }
    paths = {}
    for name, data in images.items():
        paths[name] = str(tmp_path / f'{name}.nii')
        dtype = np.uint8 if name == 'brain_mask' else np.float32
        nib.save(nib.Nifti1Image(data.astype(dtype), AFFINE), paths[name])
    folder = tmp_path / 'run'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return paths


def run(files, method, names=None, direction=(0.0, 0.0, 1.0), **parameters):
    names = NEEDS[method] if names is None else names
    step = Contrast(
        code_version='1', method=method, parameters=parameters, echo_times_s=TIMES,
        b0_direction=list(direction), brain_mask=files['brain_mask'],
        **{name: files[name] for name in names},
    )  # fmt: skip
    return step.run().outputs


def data(path):
    return np.asarray(nib.load(path).dataobj)


def echoes(path):
    return np.moveaxis(data(path), -1, 0)


@pytest.mark.parametrize('method', NEEDS)
def test_every_method_needs_what_it_says_and_no_more(files, method):
    assert contrast_inputs(method) == NEEDS[method]
    outputs = run(files, method)
    image, projection = data(outputs.image), data(outputs.projection)
    mask = data(files['brain_mask']) > 0
    assert image.shape == projection.shape == SHAPE
    assert np.isfinite(image).all()
    assert image[mask].mean() > 0
    assert not image[~mask].any()
    assert (projection[mask] <= image[mask]).all()
    np.testing.assert_allclose(nib.load(outputs.image).affine, AFFINE)


def test_result_is_that_of_the_function(files):
    grid = grid_of(files['brain_mask'], [0.0, 0.0, 1.0])
    mask = data(files['brain_mask']) > 0
    expected = make_swi(echoes(files['magnitude']), echoes(files['phase']), TIMES, mask, grid)
    np.testing.assert_array_equal(data(run(files, 'swi').image), expected)
    limits = TswiParameters(upper_ppm=0.3)
    expected = make_tswi(data(files['rss']), data(files['chi']), mask, grid, parameters=limits)
    outputs = run(files, 'tswi', upper_ppm='0.3')
    np.testing.assert_array_equal(data(outputs.image), expected)


def test_slab_follows_b0_and_the_parameters(files):
    mask = data(files['brain_mask']) > 0
    for direction, axis in [((0.0, 0.0, 1.0), 2), ((0.1, -0.9, 0.2), 1)]:
        outputs = run(files, 'smwi', direction=direction, projection_mm='5')
        slab = ProjectionParameters(projection_mm=5.0, slice_axis=axis)
        grid = qsm.Grid(SHAPE, (1.0, 1.1, 2.0))
        expected = project_minimum(data(outputs.image), mask, grid, parameters=slab)
        np.testing.assert_array_equal(data(outputs.projection), expected)
    given = run(files, 'smwi', slice_axis='0')
    slab = ProjectionParameters(slice_axis=0)
    expected = project_minimum(data(given.image), mask, grid, parameters=slab)
    np.testing.assert_array_equal(data(given.projection), expected)


@pytest.mark.parametrize('method', NEEDS)
def test_missing_image_is_named(files, method):
    with pytest.raises(ValueError, match=f'{method} needs the image {NEEDS[method][-1]!r}'):
        run(files, method, names=NEEDS[method][:1])


def test_catalogue_names_functions_that_exist():
    for name in NEEDS:
        method = methods.get('contrast', name)
        assert issubclass(method.parameter_class(), ProjectionParameters)
