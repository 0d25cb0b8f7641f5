"""Building an atlas: the graph, who is passed over, and (slow) a whole build that is then used."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsmbids.atlas.build.groups import age_groups, find_people
from qsmbids.atlas.builtin import write_builtin
from qsmbids.atlas.dataset import open_atlas
from qsmbids.atlas.errors import AtlasError
from qsmbids.atlas.geometry import label_table
from qsmbids.atlas.images import read_image, write_image
from qsmbids.atlas.transforms import warp
from qsmbids.interfaces import build_atlas as steps
from qsmbids.phantom.cohort import write_cohort
from qsmbids.phantom.parameters import PhantomParameters
from qsmbids.workflows.build_atlas import build_atlas
from qsmbids.workflows.build_graph import BuildGraph, BuildRequest

AGES = (8.0, 12.0, 16.0, 60.0, 66.0, 73.0)
EDGES = (5.0, 30.0, 84.0)


SHAPE, VOXEL_MM = (20, 24, 20), 8.0
POINTS = VOXEL_MM * (np.stack(np.indices(SHAPE), axis=-1) - (np.array(SHAPE) - 1) / 2)
IRON = ((POINTS / (20, 24, 16)) ** 2).sum(axis=-1) < 1


@pytest.fixture(scope='module')
def cohort(tmp_path_factory):
    """The files of six people: an ellipsoid each, with iron in the middle."""
    root = tmp_path_factory.mktemp('cohort')
    affine = np.diag((VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0))
    brain = ((POINTS / (66, 82, 60)) ** 2).sum(axis=-1) < 1
    noise = np.random.default_rng(2).standard_normal((2, *SHAPE))
    chi = np.where(brain, 0.15 * IRON + 0.01 * noise[0], 0).astype(np.float32)
    magnitude = np.where(brain, 900 - 300 * IRON + 20 * noise[1], 50).astype(np.float32)
    images = {'Chimap': chi, 'desc-rss_T2starw': magnitude, 'desc-brain_mask': brain,
              'desc-qsm_mask': brain}  # fmt: skip
    for number, age in enumerate(AGES, start=1):
        stem = root / f'sub-0{number}' / 'anat' / f'sub-0{number}'
        stem.parent.mkdir(parents=True)
        for name, array in images.items():
            write_image(f'{stem}_{name}.nii.gz', array, affine)
        sidecar = {'AgeYears': age, 'SusceptibilityReference': 'whole-brain'}
        Path(f'{stem}_Chimap.json').write_text(json.dumps(sidecar))
    return root


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    return tmp_path_factory.mktemp('work')


@pytest.fixture(scope='module')
def request_(cohort, work):
    groups, _ = age_groups(find_people(cohort)[0], EDGES)
    return BuildRequest(
        groups=groups, name='Mine', licence='CC0', out=work / 'out', work_dir=work,
        labels_from=write_builtin(work / 'atlases', []), rounds=2, resolution_mm=4.0,
    )  # fmt: skip


def graph_of(request):
    return BuildGraph(request, open_atlas(request.labels_from))


@pytest.fixture(scope='module')
def graph(request_):
    return graph_of(request_)


def names(graph):
    return {name for name in graph.workflow.list_node_names() if not name.endswith('_members')}


def test_there_is_one_node_per_person_and_round(graph):
    found = names(graph)
    for label, people in (('group1', (1, 2, 3)), ('group2', (4, 5, 6))):
        for number in people:
            assert f'prepare_sub0{number}' in found
            assert f'{label}_linear_sub0{number}' in found
            assert {f'{label}_round{turn}_sub0{number}' for turn in (1, 2)} <= found
        assert {f'{label}_linear_average', f'{label}_round2_average'} <= found
    assert {'common_linear_1', 'common_round2_2', 'common_round2_average'} <= found
    assert len(found) == 6 + 2 * (3 + 1 + 2 * (3 + 1)) + (2 + 1 + 2 * (2 + 1)) + 2 + 1
    assert graph.last == {
        'group1': 'group1_round2_average', 'group2': 'group2_round2_average',
        'common': 'common_round2_average', 'templates_1': 'templates_1',
        'templates_2': 'templates_2', 'labels': 'labels',
    }  # fmt: skip
    assert set(graph.titles) == found


def test_rounds_resolution_and_seed_reach_the_nodes(graph, request_):
    fine = graph_of(replace(request_, rounds=4, resolution_mm=1.5, seed=5))
    last = [fine.workflow.get_node(f'group1_round{n}_sub01').inputs.fine for n in (1, 2, 3, 4)]
    assert last == [False, False, True, True]  # the finest level, in the later rounds only
    for name in names(fine):
        node = fine.workflow.get_node(name)
        assert node.inputs.code_version
        assert getattr(node.inputs, 'seed', 5) == 5
    assert graph.workflow.get_node('group1_round1_sub01').mem_gb < 0.6
    assert 0.8 < fine.workflow.get_node('group1_round1_sub01').mem_gb < 1.5


def test_one_group_is_its_own_common_space(request_):
    graph = graph_of(replace(request_, groups=request_.groups[:1]))
    assert 'common' not in graph.last
    assert not any(name.startswith('common') for name in names(graph))


def test_the_reference_is_written_once(request_):
    first = graph_of(request_)  # the work folder may hold one of another resolution
    path = request_.work_dir / 'reference' / 'reference.nii'
    before = path.stat().st_mtime_ns
    again = graph_of(request_)
    assert path.stat().st_mtime_ns == before  # else all steps would run again
    one, other = (g.workflow.get_node('group1_linear_sub01').inputs for g in (first, again))
    assert one.get_hashval() == other.get_hashval()
    assert (path.parent / 'made_of.txt').read_text().split()[-2:] == ['4.0', 'False']


def run(step, folder, **inputs):
    """Run a step in a folder of its own and return what it found."""
    folder.mkdir()
    return json.loads(Path(step(code_version='1', **inputs).compute(folder)['result']).read_text())


def test_a_person_whose_images_cannot_be_used_is_passed_over(request_, tmp_path):
    person = request_.groups[0].people[0]
    mask, affine = read_image(person.brain_mask)
    ppb = write_image(tmp_path / 'ppb.nii', 1000 * read_image(person.chi)[0], affine)
    found = run(
        steps.Prepare, tmp_path / 'a', label='sub-01', chi=str(ppb), seed=1,
        magnitude=str(person.magnitude), brain_mask=str(person.brain_mask),
        qsm_mask=str(person.qsm_mask),
    )  # fmt: skip
    assert found == {
        'label': 'sub-01', 'ok': False,
        'reason': 'ppb.nii has no values in ppm inside its mask.',
    }  # fmt: skip
    record = str(tmp_path / 'a' / 'result.json')
    image = str(write_image(tmp_path / 'm.nii', mask, affine))
    linear = {'member': record, 'reference': image, 'reference_brain': image}
    assert run(steps.Linear, tmp_path / 'b', **linear, seed=1) == found
    with pytest.raises(AtlasError, match='only 0 registrations worked in group1') as info:
        run(
            steps.LinearAverage, tmp_path / 'c', label='group1', members=[record],
            reference=image, reference_brain=image, least=1,
        )  # fmt: skip
    assert 'sub-01: ppb.nii has no values in ppm' in str(info.value)
    assert len(str(info.value).splitlines()) == 3


def test_a_group_that_falls_apart_ends_the_build_in_three_lines(request_, tmp_path):
    people = []
    for person in request_.groups[0].people:
        chi, affine = read_image(person.chi)
        path = write_image(tmp_path / f'{person.label}_Chimap.nii.gz', 1000 * chi, affine)
        people.append(replace(person, chi=path))
    broken = replace(request_.groups[0], people=tuple(people))
    request = replace(request_, groups=(broken,), rounds=1)
    with pytest.raises(AtlasError, match='only 0 registrations worked in group1') as info:
        build_atlas(request)
    assert 'sub-02: sub-02_Chimap.nii.gz has no values in ppm' in str(info.value)
    assert len(str(info.value).splitlines()) == 3
    assert not request.out.exists()


def test_the_hybrid_is_dark_where_there_is_iron(request_, tmp_path):
    person = request_.groups[1].people[0]
    found = run(
        steps.Prepare, tmp_path / 'a', label=person.label, chi=str(person.chi), seed=1,
        magnitude=str(person.magnitude), brain_mask=str(person.brain_mask),
        qsm_mask=str(person.qsm_mask),
    )  # fmt: skip
    hybrid = read_image(found['hybrid'])[0]
    brain = read_image(found['brain'])[0] > 0
    assert hybrid[IRON].max() < np.percentile(hybrid[brain & ~IRON], 5)
    assert (hybrid[brain] > 0).all()
    assert not hybrid[~brain].any()


@pytest.mark.slow
def test_a_build_gives_an_atlas_with_labels_in_place_and_goes_on_where_it_was(tmp_path, capfd):
    people = write_cohort(
        tmp_path / 'people', AGES, parameters=PhantomParameters(voxel_size_mm=4.0, seed=11)
    )
    groups, _ = age_groups(find_people(people)[0], EDGES)
    work = tmp_path / 'work'
    # one person who is not a head: dropped, not the end
    chi, affine = read_image(groups[0].people[0].chi)
    broken = write_image(tmp_path / 'sub-99_Chimap.nii.gz', 1000 * chi, affine)
    stranger = replace(groups[0].people[0], label='sub-99', chi=broken)
    groups = (replace(groups[0], people=(*groups[0].people, stranger)), groups[1])
    request = BuildRequest(
        groups=groups, name='Mine', licence='CC0', out=tmp_path / 'out', work_dir=work,
        labels_from=write_builtin(work / 'atlases', []), rounds=1, resolution_mm=4.0, nprocs=2,
        min_people=3,
    )  # fmt: skip
    result = build_atlas(request)
    assert any(note.startswith('sub-99 is left out: sub-99_Chimap') for note in result.notes)
    assert sorted(result.chains) == [f'sub-0{n}' for n in range(1, 7)]

    atlas = open_atlas(result.folder)
    assert atlas.shares_space
    assert [(c.age_min, c.age_max) for c in atlas.cohorts] == [(5, 30), (30, 84)]
    young, old = (atlas.files(c.label) for c in atlas.cohorts)
    dseg = np.rint(read_image(young.dseg)[0])
    assert np.array_equal(dseg, np.rint(read_image(old.dseg)[0]))
    putamen = np.isin(dseg, [b.index for b in atlas.labels if b.region == 'Putamen'])
    values = [read_image(f.chi)[0][putamen].mean() for f in (young, old)]
    assert values[1] > values[0] + 0.02  # iron grows with age
    assert read_image(young.chi_std)[0][putamen].mean() > 0.003

    # everybody's true labels lie on the labels of the atlas
    scores = []
    for label, chain in result.chains.items():
        truth = read_image(people / label / 'anat' / f'{label}_desc-truth_dseg.nii.gz')
        moved = np.rint(warp(*truth, dseg.shape, read_image(young.dseg)[1], chain,
                             'nearestNeighbor'))  # fmt: skip
        for region in ('Putamen', 'Caudate', 'ThalamusLateral', 'LateralVentricle'):
            wanted = [b.index for b in label_table() if b.region == region]
            one, other = np.isin(moved, wanted), np.isin(dseg, wanted)
            scores.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    assert np.mean(scores) > 0.7

    capfd.readouterr()
    again = build_atlas(replace(request, name='Other'))
    told = capfd.readouterr().out
    assert again.chains == result.chains
    steps = [line for line in told.splitlines() if line.startswith('[')]
    assert steps
    assert all('kept from an earlier run' in line for line in steps), told
    one, other = (open_atlas(r.folder).files('1').chi for r in (result, again))
    assert one.read_bytes() == other.read_bytes()
