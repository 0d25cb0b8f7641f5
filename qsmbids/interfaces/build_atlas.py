"""Building an atlas: the steps of group-wise registration, of the templates and of the labels.

Steps hand a record (JSON) to one another: files and numbers by name. A person whose images or
registration cannot be used has ``ok`` false and a ``reason`` in it and is passed over by later
steps, so that one bad scan does not end the build.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, InputMultiPath, isdefined, traits

from qsmbids.atlas.errors import AtlasError
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec


class _ResultOutputSpec(StepOutputSpec):
    result = File(desc='JSON: what the step found, files by name')


class _PrepareInputSpec(StepInputSpec):
    label = traits.Str(mandatory=True)
    chi = File(exists=True, mandatory=True, desc='ppm')
    magnitude = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True)
    qsm_mask = File(exists=True, mandatory=True)
    t1w = File(exists=True, desc='of the same person, any space')
    seed = traits.Int(mandatory=True)


class Prepare(Step):
    """Make the hybrid image of a person."""

    title = 'hybrid image'
    input_spec = _PrepareInputSpec
    output_spec = _ResultOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Write hybrid image and brain; with a T1w image, that as well."""
        from qsmbids.atlas.build.groups import Person
        from qsmbids.atlas.build.prepare import write_hybrid

        i = self.inputs
        person = Person(
            i.label, float('nan'), Path(i.chi), Path(i.magnitude), Path(i.brain_mask),
            Path(i.qsm_mask), t1w=Path(i.t1w) if isdefined(i.t1w) else None,
        )  # fmt: skip
        try:
            files = write_hybrid(person, folder, seed=i.seed)
        except AtlasError as error:
            return _failed(folder, i.label, error)
        return _result(folder, {'label': i.label, 'ok': True, **files})


class _LinearInputSpec(StepInputSpec):
    member = File(exists=True, mandatory=True, desc='record with hybrid and brain')
    reference = File(exists=True, mandatory=True)
    reference_brain = File(exists=True, mandatory=True)
    seed = traits.Int(mandatory=True)


class Linear(Step):
    """Lay a person on the reference brain."""

    title = 'linear registration'
    input_spec = _LinearInputSpec
    output_spec = _ResultOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Find the affine map from the reference to the person."""
        from qsmbids.atlas.build.pairwise import register_linear

        i, member = self.inputs, read_record(self.inputs.member)
        if not member['ok']:
            return _result(folder, member)
        try:
            matrix = register_linear(
                Path(member['hybrid']), Path(member['brain']), Path(i.reference),
                Path(i.reference_brain), folder, seed=i.seed,
            )  # fmt: skip
        except AtlasError as error:
            return _failed(folder, member['label'], error)
        return _result(folder, {**member, 'matrix': matrix.tolist()})


class _LinearAverageInputSpec(StepInputSpec):
    label = traits.Str(mandatory=True)
    members = InputMultiPath(File(exists=True), mandatory=True, desc='records of Linear')
    reference = File(exists=True, mandatory=True)
    reference_brain = File(exists=True, mandatory=True)
    least = traits.Int(mandatory=True, desc='people that must be left')


class LinearAverage(Step):
    """Average a group linearly, in its mean size."""

    title = 'linear average'
    input_spec = _LinearAverageInputSpec
    output_spec = _ResultOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Average; keep where each person starts from."""
        from qsmbids.atlas.build.groupwise import linear_average

        i = self.inputs
        members = _usable(i.members, i.label, i.least)
        matrices = {m['label']: np.array(m['matrix']) for m in members}
        average, starts = linear_average(
            _members(members), matrices, Path(i.reference), Path(i.reference_brain), folder
        )
        starts = {label: matrix.tolist() for label, matrix in starts.items()}
        return _result(folder, _average(i.label, average) | {'starts': starts})


class _RoundInputSpec(StepInputSpec):
    member = File(exists=True, mandatory=True, desc='record of Linear')
    average = File(exists=True, mandatory=True, desc='record of the current average')
    start = File(exists=True, mandatory=True, desc='record of the linear average')
    fine = traits.Bool(mandatory=True, desc='go on to the finest level')
    seed = traits.Int(mandatory=True)


class Round(Step):
    """Register a person to the current average of the group."""

    title = 'registration to the average'
    input_spec = _RoundInputSpec
    output_spec = _ResultOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Register; a bad result leaves the person out of this round."""
        from qsmbids.atlas.build.pairwise import register_to_average

        i, member = self.inputs, read_record(self.inputs.member)
        if not member['ok']:
            return _result(folder, member)
        average = read_record(i.average)
        start = np.array(read_record(i.start)['starts'][member['label']])
        try:
            pair = register_to_average(
                Path(member['hybrid']), Path(member['brain']), Path(average['hybrid']),
                Path(average['brain']), start, folder, last=i.fine, seed=i.seed,
            )  # fmt: skip
        except AtlasError as error:
            return _failed(folder, member['label'], error)
        return _result(folder, member | asdict(pair))


class _NextAverageInputSpec(StepInputSpec):
    label = traits.Str(mandatory=True)
    members = InputMultiPath(File(exists=True), mandatory=True, desc='records of Round')
    average = File(exists=True, mandatory=True, desc='record of what they were registered to')
    least = traits.Int(mandatory=True, desc='people that must be left')


class NextAverage(Step):
    """Average a group through its registrations and move the average to the mean shape."""

    title = 'average and shape update'
    input_spec = _NextAverageInputSpec
    output_spec = _ResultOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Average; keep the chain of transforms of each member, both ways."""
        from qsmbids.atlas.build.groupwise import Average, next_average

        i = self.inputs
        members, old = _usable(i.members, i.label, i.least), read_record(i.average)
        average = next_average(
            _members(members), {m['label']: Path(m['forward']) for m in members},
            Average(Path(old['hybrid']), Path(old['brain'])), folder,
        )  # fmt: skip
        chains = {
            m['label']: {
                'forward': [str(average.update), m['forward']],
                'inverse': [m['inverse'], str(average.inverse)],
                'quality': m['quality'],
                **({'t1w': m['t1w']} if 't1w' in m else {}),
            }
            for m in members
        }
        lost = {
            record['label']: record['reason']
            for record in map(read_record, i.members)
            if not record['ok']
        }
        return _result(folder, _average(i.label, average) | {'chains': chains, 'lost': lost})


class _TemplatesInputSpec(StepInputSpec):
    label = traits.Str(mandatory=True, desc='of the group')
    people = traits.List(traits.Dict(), mandatory=True, desc='as in Person')
    group = File(exists=True, mandatory=True, desc='record of the last average of the group')
    common = File(exists=True, desc='record of the last average of the groups')
    rereference = traits.Bool(mandatory=True)


class Templates(Step):
    """Average the maps of a group in the common space."""

    title = 'templates'
    input_spec = _TemplatesInputSpec
    output_spec = _ResultOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Bring the maps of each person over with one interpolation, and average."""
        from qsmbids.atlas.build.common_space import Bridge, cohort_maps

        i, group = self.inputs, read_record(self.inputs.group)
        chains, bridge, grid = group['chains'], Bridge(), group['hybrid']
        if isdefined(i.common):
            common = read_record(i.common)
            way = common['chains'][i.label]
            bridge = Bridge(tuple(way['forward']), tuple(way['inverse']))
            grid = common['hybrid']
        people = [_person(p) for p in i.people if p['label'] in chains]
        maps = cohort_maps(
            people, {label: chain['forward'] for label, chain in chains.items()},
            {label: Path(chain['t1w']) for label, chain in chains.items() if 't1w' in chain},
            bridge, Path(grid), folder, rereference=i.rereference,
        )  # fmt: skip
        return _result(folder, {**maps.files, 'facts': maps.facts})


class _LabelsInputSpec(StepInputSpec):
    templates = File(exists=True, mandatory=True, desc='record of the templates of a middle age')
    source = traits.Dict(mandatory=True, desc='files of a cohort of the other atlas')
    source_files = InputMultiPath(File(exists=True), desc='the same, to notice that they changed')
    labels = traits.List(traits.Dict(), mandatory=True, desc='label table of the other atlas')
    drawn = File(exists=True, desc='labels drawn on the new templates')
    drawn_table = File(exists=True, desc='to notice that it has changed')
    seed = traits.Int(mandatory=True)


class CarryLabels(Step):
    """Carry the labels of another atlas to the common space and merge drawn ones."""

    title = 'labels'
    input_spec = _LabelsInputSpec
    output_spec = _ResultOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Register the other atlas, bring its labels over, lay drawn ones on top."""
        from qsmbids.atlas.build.parcellation import carry_labels, merge_labels, read_drawn
        from qsmbids.atlas.dataset import AtlasFiles
        from qsmbids.atlas.geometry import Label
        from qsmbids.atlas.images import read_image, write_image

        i, record = self.inputs, read_record(self.inputs.templates)
        files = {key: Path(record[key]) for key in ('chi', 't2starw', 'mask', 't1w')
                 if key in record}  # fmt: skip
        table, notes = tuple(Label(**row) for row in i.labels), ()
        source = AtlasFiles(**{key: Path(path) for key, path in i.source.items()})
        dseg, quality = carry_labels(files, source, table, folder, seed=i.seed)
        if isdefined(i.drawn):
            drawn, rows = read_drawn(Path(i.drawn), files['chi'])
            dseg, table, notes = merge_labels(dseg, table, drawn, rows)
        kind = np.int16 if dseg.max() < 2**15 else np.int32
        path = write_image(folder / 'dseg.nii', dseg.astype(kind), read_image(files['chi'])[1], 2)
        labels = [asdict(label) for label in table]
        return _result(
            folder, {'dseg': path, 'labels': labels, 'notes': notes, 'quality': quality}
        )


def read_record(path: str | Path) -> dict[str, Any]:
    """Read what a step found."""
    return json.loads(Path(path).read_text(encoding='utf-8'))


def _result(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Write what a step found; sizes of its files go into the record that resuming checks."""
    path = folder / 'result.json'
    path.write_text(json.dumps(content, default=str, indent=1), encoding='utf-8')
    mine = [p for p in folder.iterdir() if p.suffix in ('.nii', '.gz', '.h5')]
    return {'result': str(path), 'record': {'written': {str(p): p.stat().st_size for p in mine}}}


def _failed(folder: Path, label: str, error: AtlasError) -> dict[str, Any]:
    return _result(folder, {'label': label, 'ok': False, 'reason': str(error).splitlines()[0]})


def _usable(paths: Sequence[str], group: str, least: int) -> list[dict[str, Any]]:
    from qsmbids.atlas.build.groupwise import check_enough

    records = [read_record(path) for path in paths]
    usable = [record for record in records if record['ok']]
    lost = [f'{r["label"]}: {r["reason"]}' for r in records if not r['ok']]
    check_enough([r['label'] for r in usable], least, f'{group} ({"; ".join(lost) or "all"})')
    return usable


def _members(records: Sequence[dict[str, Any]]) -> list:
    from qsmbids.atlas.build.groupwise import Member

    return [Member(r['label'], Path(r['hybrid']), Path(r['brain'])) for r in records]


def _average(label: str, average: Any) -> dict[str, Any]:
    """Return the record of an average, which is also that of a member of the next step."""
    files = {key: path for key, path in vars(average).items() if path is not None}
    return {'label': label, 'ok': True, **files}


def _person(content: dict[str, Any]) -> Any:
    from qsmbids.atlas.build.groups import Person

    paths = ('chi', 'magnitude', 'brain_mask', 'qsm_mask', 'r2star', 't1w')
    found = {key: Path(value) if key in paths else value for key, value in content.items()}
    return Person(**found)
