"""Writing the COSMOS map into the output folder, with its sidecar and a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiPath, traits

from qsmbids.bids import names as bids_names
from qsmbids.bids.cosmos import PART, cosmos_names, cosmos_sidecars
from qsmbids.bids.write import copy, write_json
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec
from qsmbids.interfaces.sink import copy_figures, public


class _CosmosSinkInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    bids_dir = traits.Str(mandatory=True)
    group = traits.Any(mandatory=True, desc='plan.cosmos.CosmosGroup')
    settings = traits.Dict(desc='methods up to the local field, with their parameters')
    records = InputMultiPath(File(exists=True), mandatory=True, desc='records of the steps')
    chi = File(exists=True, mandatory=True, desc='referenced, ppm')
    qsm_mask = File(exists=True, mandatory=True)
    figures = File(exists=True, desc='JSON list of figures')


class _CosmosSinkOutputSpec(StepOutputSpec):
    out_record = File(desc='what the report is made from')


class CosmosSink(Step):
    """Put the COSMOS map of a group in its place, the sidecar before the image."""

    title = 'writing the COSMOS map'
    input_spec = _CosmosSinkInputSpec
    output_spec = _CosmosSinkOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Copy files, write sidecars and the record."""
        i = self.inputs
        group, out = i.group, Path(i.output_dir)
        records = [json.loads(Path(r).read_text(encoding='utf-8')) for r in i.records]
        facts: dict[str, Any] = {}
        for record in records:
            facts |= {k: record[k] for k in ('reference', 'cosmos') if k in record}
        names = cosmos_names(group)
        contents = cosmos_sidecars(group, i.settings, facts, i.bids_dir)
        written: dict[str, int] = {}
        for key, name in names.items():
            side = out / bids_names.sidecar(name)
            write_json(side, contents[key])
            copy(Path(getattr(i, key)), out / name)
            written |= {str(p): p.stat().st_size for p in (side, out / name)}
        figures = copy_figures(i.figures, group.participant, out)
        for figure in figures:
            path = out / figure['path']
            written[str(path)] = path.stat().st_size
        record_path = out / bids_names.record_path(group.participant, group.key, PART)
        content = {
            'key': group.key, 'part': PART, 'names': names, 'settings': i.settings,
            'facts': facts, 'figures': figures,
            'steps': public(records),
        }  # fmt: skip
        write_json(record_path, content)
        written[str(record_path)] = record_path.stat().st_size
        return {'out_record': str(record_path), 'record': {'written': written}}
