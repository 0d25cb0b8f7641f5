"""Susceptibility-weighted images and their minimum intensity projection."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nipype.interfaces.base import File, isdefined, traits

from qsmbids import methods
from qsmbids.interfaces.base import (
    Step,
    StepInputSpec,
    StepOutputSpec,
    grid_of,
    load,
    load_echoes,
    load_mask,
    save,
)
from qsmbids.qsm.projection import project_minimum

# argument of the function of a method: (input of the step, how it is read)
_IMAGES = {
    'magnitude': ('magnitude', load_echoes),
    'phase': ('phase', load_echoes),
    'unwrapped': ('unwrapped', load_echoes),
    'magnitude_rss': ('rss', load),
    'chi': ('chi', load),
}


def contrast_inputs(method: str) -> tuple[str, ...]:
    """Return the images that a method needs, as named by the inputs of :class:`Contrast`.

    They follow from the arguments of the function that the catalogue names. The brain mask
    is needed by every method and not among them.
    """
    arguments = inspect.signature(methods.get('contrast', method).load()).parameters
    return tuple(_IMAGES[name][0] for name in arguments if name in _IMAGES)


class _ContrastInputSpec(StepInputSpec):
    magnitude = File(exists=True, desc='(x, y, z, echo)')
    phase = File(exists=True, desc='(x, y, z, echo), wrapped, rad')
    unwrapped = File(exists=True, desc='(x, y, z, echo), unwrapped, rad')
    rss = File(exists=True, desc='root sum of squares magnitude')
    chi = File(exists=True, desc='referenced susceptibility, ppm')
    brain_mask = File(exists=True, mandatory=True)
    echo_times_s = traits.List(traits.Float, mandatory=True, desc='s')
    b0_direction = traits.List(traits.Float, mandatory=True, desc='unit vector, voxel axes')
    method = traits.Str(mandatory=True)
    parameters = traits.Dict


class _ContrastOutputSpec(StepOutputSpec):
    image = File(desc='susceptibility-weighted magnitude, arbitrary units')
    projection = File(desc='its minimum over a slab, on the same grid')


class Contrast(Step):
    """Make a susceptibility-weighted image and project it."""

    title = 'susceptibility-weighted image'
    input_spec = _ContrastInputSpec
    output_spec = _ContrastOutputSpec

    def compute(self, folder: Path) -> dict[str, Any]:
        """Call the chosen method with the images it asks for."""
        i = self.inputs
        affine, grid = nib.load(i.brain_mask).affine, grid_of(i.brain_mask, i.b0_direction)
        method, mask = methods.get('contrast', i.method), load_mask(i.brain_mask)
        parameters = method.make_parameters(i.parameters if isdefined(i.parameters) else None)
        available = {
            'echo_times_s': lambda: tuple(i.echo_times_s),
            'mask': lambda: mask,
            'grid': lambda: grid,
        } | {name: lambda name=name: self._read(name) for name in _IMAGES}
        function = method.load()
        arguments = {
            name: available[name]()
            for name in inspect.signature(function).parameters
            if name in available
        }
        image = function(**arguments, parameters=parameters)
        projection = project_minimum(image, mask, grid, parameters=parameters)
        return {
            'image': save(image, affine, folder / 'contrast.nii'),
            'projection': save(projection, affine, folder / 'projection.nii'),
            'record': {'contrast_median': float(np.median(image[mask]))},
        }

    def _read(self, argument: str) -> np.ndarray:
        """Return one image; refuse one that is not there."""
        name, read = _IMAGES[argument]
        path = getattr(self.inputs, name)
        if not isdefined(path):
            raise ValueError(
                f'The contrast {self.inputs.method} needs the image {name!r}.\n'
                'It is computed from it.\n'
                'Choose another contrast, or run the step that makes this image.'
            )
        return read(path)
