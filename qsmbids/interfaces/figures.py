"""Pictures for the report, drawn in the graph so that workers share the drawing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from nipype.interfaces.base import File, isdefined, traits

from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec

_KEYS = (
    'rss', 'brain_mask', 'qsm_mask', 'phase_first', 'phase_last', 'unwrapped_last',
    'total_field', 'local_field', 'field_noise', 'chi', 'r2star', 'dseg', 'template_chi',
)  # fmt: skip


class _FiguresInputSpec(StepInputSpec):
    part = traits.Enum('recon', 'atlas', mandatory=True)
    stem = traits.Str(mandatory=True, desc='start of the file names')
    b0_direction = traits.List(traits.Float)
    labels = traits.List(traits.Dict, desc='label table of the atlas')
    for _key in _KEYS:
        locals()[_key] = File(exists=True, desc=f'image {_key}')
    del _key


class _FiguresOutputSpec(StepOutputSpec):
    index = File(desc='JSON list of path, name, title and caption')


class Figures(Step):
    """Draw the pictures of one part of the work."""

    title = 'figures'
    input_spec = _FiguresInputSpec
    output_spec = _FiguresOutputSpec

    PARTS: ClassVar[dict[str, tuple[str, ...]]] = {
        'recon': (
            'rss', 'brain_mask', 'qsm_mask', 'phase_first', 'phase_last', 'unwrapped_last',
            'total_field', 'local_field', 'field_noise', 'chi', 'r2star',
        ),
        'atlas': ('rss', 'chi', 'brain_mask', 'dseg', 'template_chi'),
    }  # fmt: skip

    @classmethod
    def wanted(cls, part: str) -> tuple[str, ...]:
        """Return the keys of the images that a part draws."""
        return cls.PARTS[part]

    def compute(self, folder: Path) -> dict[str, Any]:
        """Draw what there is."""
        from qsmbids.atlas.geometry import Label
        from qsmbids.report.figures import draw_figures

        i = self.inputs
        files = {k: Path(getattr(i, k)) for k in _KEYS if isdefined(getattr(i, k))}
        labels = [Label(**label) for label in i.labels] or None
        drawn = draw_figures(
            files, folder, i.stem, part=i.part, b0_direction=i.b0_direction, label_table=labels
        )
        index = [
            {'path': str(f.path), 'name': f.name, 'title': f.title, 'caption': f.caption}
            for f in drawn
        ]
        path = folder / 'figures.json'
        path.write_text(json.dumps(index), encoding='utf-8')
        return {
            'index': str(path),
            'record': {'written': {str(f.path): f.path.stat().st_size for f in drawn}},
        }
