"""Lesions and veins through signal, noise and the default reconstruction: the acceptance figures.

The simulation is that of ``benchmarks/lesions.py``; here one small head holds a bit of everything.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from qsmbids.atlas.lesions import lesion_table, vein_table

BENCHMARK = Path(__file__).parents[2] / 'benchmarks' / 'lesions.py'


@pytest.fixture(scope='module')
def benchmark():
    spec = importlib.util.spec_from_file_location('lesions_benchmark', BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope='module')
def scene(benchmark):
    """What is in the head, the scan, the map and where it is known."""
    b = benchmark
    spots = b.places(23, 9, np.random.default_rng(4))
    vein = {'r2star': 15.0, 'length': 13.0, 'saturation': 0.62}
    chi = b.venous_chi(0.62)
    things = [
        b.Thing('microbleed', spots[0], 1.5, 1.0, 80.0),
        b.Thing('microbleed', spots[1], 3.0, 0.6, 80.0),
        b.Thing('calcification', spots[2], 1.5, -1.2, 20.0),
        b.Thing('calcification', spots[3], 4.0, -0.6, 20.0),
        b.Thing('rim', spots[4], 5.0, 0.09, 5.0, rim=1.5),
        b.Thing('rim', spots[5], 5.5, 0.08, 5.0, rim=2.0, core=0.03),
        b.Thing('solid', spots[6], 5.0, 0.07, 5.0),
        b.Thing('vein', spots[7], 2.0, chi, axis=(1, 0, 0.4), **vein),
        b.Thing('vein', spots[8], 2.5, chi, axis=(0, 0.2, 1), **vein),
    ]
    scan = b.simulate(things, 1.0, 60.0, 1)
    return things, scan, *b.reconstruct(scan)


def lesions(benchmark, scene, grow):
    things, scan, chi, known = scene
    labels = benchmark.draw(scan.labels, grow)
    focal = np.where(labels <= 7, labels, 0)
    rows = lesion_table(chi, focal, known, scan.affine, marked=labels > 0)
    assert len(rows) == 7
    return [(things[row['label'] - 1], row) for row in rows]


def test_every_sign_is_right(benchmark, scene):
    for grow in (0, 1):
        for thing, row in lesions(benchmark, scene, grow):
            assert row['sign'] == ('paramagnetic' if thing.chi > 0 else 'diamagnetic'), thing


@pytest.mark.parametrize('grow', [0, 1])
def test_rims_are_found_and_no_others(benchmark, scene, grow):
    for thing, row in lesions(benchmark, scene, grow):
        if thing.radius < 3.5:
            assert row['rim_flag'] in ('n/a', 'no'), thing
        else:
            assert row['rim_flag'] == ('yes' if thing.rim else 'no'), (thing, row['rim_z'])


def test_volumes_are_within_one_layer(benchmark, scene):
    for thing, row in lesions(benchmark, scene, 0):
        for name in ('volume_mm3', 'half_max_volume_mm3'):
            radius = (3 * row[name] / (4 * np.pi)) ** (1 / 3)
            assert abs(radius - thing.radius) < 1, (thing, name)


def test_volume_at_half_maximum_of_a_generous_drawing(benchmark, scene):
    for thing, row in lesions(benchmark, scene, 1):
        radius = (3 * row['half_max_volume_mm3'] / (4 * np.pi)) ** (1 / 3)
        assert abs(radius - thing.radius) < 1, thing
        assert row['volume_mm3'] > row['half_max_volume_mm3']


def test_total_susceptibility_is_kept(benchmark, scene):
    for thing, row in lesions(benchmark, scene, 0):
        if thing.kind in ('microbleed', 'calcification'):
            truth = thing.chi * 4 / 3 * np.pi * thing.radius**3
            assert row['total_susceptibility_wide'] == pytest.approx(truth, rel=0.2), thing


def test_saturation_of_wide_veins_is_within_five_points(scene):
    things, scan, chi, known = scene
    labels = np.where(scan.labels >= 8, scan.labels, 0)
    rows = vein_table(chi, labels, known, scan.affine, haematocrit=0.4, marked=scan.labels > 0)
    assert len(rows) == 2
    for row in rows:
        thing = things[row['label'] - 1]
        assert row['oxygen_saturation'] == pytest.approx(0.62, abs=0.05)
        assert row['diameter_mm'] == pytest.approx(2 * thing.radius, abs=0.8)
