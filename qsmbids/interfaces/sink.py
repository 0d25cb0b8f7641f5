"""Writing results into the output folder: images, sidecars, figures, and a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiPath, Undefined, isdefined, traits

from qsmbids.bids import names as bids_names
from qsmbids.bids.sidecars import sidecars
from qsmbids.bids.write import copy, without_nan, write_json
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec

_FILE_KEYS = (
    'chi', 'rss', 'brain_mask', 'qsm_mask', 'total_field', 'local_field', 'field_noise',
    'fmap_magnitude', 'r2star', 't2star', 's0', 'xfm_forward', 'xfm_inverse', 'dseg',
    'template_chi', 'regions_chi', 'regions_r2star', 'norm_chi', 'norm_r2star', 'norm_rss',
    'chi_positive', 'chi_negative', 'swi', 'swi_minip', 'clearswi', 'clearswi_minip', 'tswi',
    'tswi_minip', 'smwi', 'smwi_minip',
)  # fmt: skip
_PRIVATE = ('files', 'host', 'start_gb')


class _SinkInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    bids_dir = traits.Str(mandatory=True)
    acquisition = traits.Any(mandatory=True, desc='plan.models.Acquisition')
    names = traits.Dict(mandatory=True, desc='key to path below the output folder')
    settings = traits.Dict(desc='methods with their parameters, for sidecars and methods text')
    atlas = traits.Dict(desc='name, cohort, age range of the atlas; empty: none')
    part = traits.Enum('recon', 'extras', 'atlas', 'markings', mandatory=True)
    records = InputMultiPath(File(exists=True), mandatory=True, desc='records of the steps')
    figures = File(exists=True, desc='JSON list of figures')
    tables = InputMultiPath(File(exists=True), desc='<kind>_<label>.tsv of lesions and veins')
    for _key in _FILE_KEYS:
        locals()[_key] = File(exists=True, desc=f'file of the output {_key}')
    del _key


class _SinkOutputSpec(StepOutputSpec):
    out_record = File(desc='what the report is made from')


class Sink(Step):
    """Put the results of one part of the work (reconstruction, extras, atlas) in their place.

    Everything appears by rename, sidecar first, so that an image is never without one.
    """

    title = 'writing results'
    input_spec = _SinkInputSpec
    output_spec = _SinkOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Copy files, write sidecars and the record."""
        i = self.inputs
        out = Path(i.output_dir)
        records = [json.loads(Path(r).read_text(encoding='utf-8')) for r in i.records]
        facts: dict[str, Any] = {'atlas': dict(i.atlas)}
        for record in records:
            if 'reference' in record:
                facts['reference'] = record['reference']
        written: dict[str, int] = {}
        packed: dict[Path, Path] = {}  # by source: compressed once, also under a second name
        tables = _tables_by_key(i.tables)
        contents = sidecars(i.acquisition, i.names, i.settings, facts, i.bids_dir)
        for key, name in i.names.items():
            source = tables.get(key) or getattr(i, key, Undefined)
            if not isdefined(source):
                raise ValueError(
                    f'The step that makes {name} gave nothing to write.\n'
                    'Without it the results are not complete.\n'
                    'Run again with --clean-workdir; if that does not help, report it.'
                )
            side = out / bids_names.sidecar(name)
            if key in contents:
                write_json(side, contents[key])
            else:  # a table brings its data dictionary along
                copy(Path(source).with_suffix('.json'), side)
            source = Path(source)
            zipped = name.endswith('.gz')
            copy(packed.get(source, source) if zipped else source, out / name)
            if zipped:
                packed.setdefault(source, out / name)
            written.update({str(p): p.stat().st_size for p in (side, out / name)})
        figures = copy_figures(i.figures, i.acquisition.participant, out)
        for figure in figures:
            path = out / figure['path']
            written[str(path)] = path.stat().st_size
        key = i.acquisition.key
        record_path = out / bids_names.record_path(i.acquisition.participant, key, i.part)
        content = {
            'key': key, 'part': i.part, 'names': i.names, 'settings': i.settings,
            'facts': facts, 'figures': figures,
            'steps': public(records),
        }  # fmt: skip
        write_json(record_path, content)
        written[str(record_path)] = record_path.stat().st_size
        return {'out_record': str(record_path), 'record': {'written': written}}


def public(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what steps recorded, without what concerns this machine alone.

    A number that does not exist, such as the iron of an infant, is null.
    """
    return without_nan([{k: v for k, v in r.items() if k not in _PRIVATE} for r in records])


def _tables_by_key(paths: Any) -> dict[str, str]:
    """Return the tables of lesions and veins by the keys of their names."""
    found = {}
    for path in paths if isdefined(paths) else ():
        kind, label = Path(path).stem.split('_')
        found[bids_names.marking_key(kind, label)] = path
    return found


def copy_figures(index: str, participant: str, out: Path) -> list[dict[str, str]]:
    """Copy the figures of an index; return them with paths below the output folder."""
    if not isdefined(index):
        return []
    place = bids_names.figures_folder(participant)
    found = []
    for figure in json.loads(Path(index).read_text(encoding='utf-8')):
        name = f'{place}/{Path(figure["path"]).name}'
        copy(Path(figure['path']), out / name)
        found.append({**figure, 'path': name})
    return found
