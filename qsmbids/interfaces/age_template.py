"""Making the template of an age from the two age bins around it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from nipype.interfaces.base import traits

from qsmbids.interfaces.atlas import template_files
from qsmbids.interfaces.base import Step, StepInputSpec, StepOutputSpec


class _AgeTemplateInputSpec(StepInputSpec):
    templates = traits.List(traits.Dict, mandatory=True, desc='files of the bins to mix')
    weights = traits.List(traits.Float, mandatory=True, desc='of each, sum 1')
    own = traits.Dict(mandatory=True, desc='files of the bin whose mask and labels are taken')


class _AgeTemplateOutputSpec(StepOutputSpec):
    template = traits.Dict(desc='files of the mixed template')


class AgeTemplate(Step):
    """Mix the templates of neighbouring age bins."""

    title = 'template of the age'
    input_spec = _AgeTemplateInputSpec
    output_spec = _AgeTemplateOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Mix; mask and labels stay those of the bin."""
        from qsmbids.atlas.blend import blend_templates

        i = self.inputs
        mixed = blend_templates(
            [template_files(files) for files in i.templates], list(i.weights),
            template_files(i.own), folder,
        )  # fmt: skip
        return {'template': {key: str(path) for key, path in asdict(mixed).items() if path}}
