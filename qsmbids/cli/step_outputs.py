"""What a call of ``qsmbids-step`` writes: images, and beside each how it was made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np

from qsmbids import __version__
from qsmbids.bids.write import Packed, write_atomically, write_json
from qsmbids.cli import exit_codes
from qsmbids.cli.step_messages import StepError
from qsmbids.cli.step_physics import Physics
from qsmbids.cli.step_verbs import Output, Verb
from qsmbids.methods import Method
from qsmbids.plan.orientation import B0_KEYS
from qsmbids.qsm.projection import project_minimum


@dataclass(frozen=True)
class Result:
    """What a function gave.

    Parameters
    ----------
    images : dict of str to array
        By the option of the output.
    facts : dict
        What else belongs into the sidecars.
    seconds : float
        How long the function took.
    """

    images: dict[str, np.ndarray]
    facts: dict[str, Any]
    seconds: float


def name_results(
    verb: Verb, method: Method, returned: Any, arguments: Mapping[str, Any], parameters: Any
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Give what a function returned the names of the outputs, and make the derived ones.

    Returns
    -------
    images : dict of str to array
        By the option of the output.
    facts : dict
        Entries of the sidecar, from functions that return a dict as well.
    """
    values = returned if isinstance(returned, tuple) else (returned,)
    facts = {key: v for value in values if isinstance(value, dict) for key, v in value.items()}
    arrays = [value for value in values if not isinstance(value, dict)]
    options = [output.option for output in verb.outputs if not output.derived]
    images = dict(zip(options, arrays, strict=False))
    for output in verb.outputs:
        if output.derived:
            images[output.option] = _derive(output.option, images, method, arguments, parameters)
    return images, facts


def _derive(
    option: str,
    images: Mapping[str, np.ndarray],
    method: Method,
    arguments: Mapping[str, Any],
    parameters: Any,
) -> np.ndarray:
    out = images['out']
    if option == 'out-t2star':
        return np.divide(1, out, out=np.zeros_like(out), where=out > 0)
    if option == 'out-projection':
        return project_minimum(out, arguments['mask'], arguments['grid'], parameters=parameters)
    if option == 'out-total':
        return out + images['out-negative']
    if option == 'out-mask':  # an inversion of the total field takes its rim away itself
        return arguments['mask'] & (out != 0) if method.field == 'total' else arguments['mask']
    raise AssertionError(f'nothing makes {option}')


def check_outputs(wanted: Mapping[str, Path], inputs: list[Path], overwrite: bool) -> None:
    """Refuse outputs that cannot be written, or would destroy something.

    Parameters
    ----------
    wanted : mapping of str to Path
        Files by the option of the output.
    inputs : list of Path
        Images that are read.
    overwrite : bool
        Whether files that exist may be replaced.

    Raises
    ------
    StepError
        With the first problem.
    """
    read = {_stem(path.resolve()) for path in inputs}
    seen: set[Path] = set()
    for option, path in wanted.items():
        stem = _stem(path.resolve())
        if not path.name.endswith(('.nii', '.nii.gz')):
            raise StepError(
                f'--{option} {path} does not end in .nii or .nii.gz.',
                'Images are written as NIfTI.',
                f'Call it {path.name}.nii.gz, for example.',
            )
        if stem in read or stem in seen:
            whose = 'an input' if stem in read else 'another output'
            raise StepError(
                f'--{option} {path} has the name of {whose}.',
                'The one would destroy the other, or its sidecar.',
                'Give the output a name of its own.',
            )
        seen.add(stem)
        if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
            here = 'may not be written to' if path.parent.is_dir() else 'does not exist'
            raise StepError(
                f'--{option} {path}: the folder {path.absolute().parent} {here}.',
                'The result needs a place.',
                'Make the folder first, or choose another one.',
            )
        for there in (path, sidecar_of(path)):
            if there.exists() and not overwrite:
                raise StepError(
                    f'{there} exists already.',
                    'It may be the only copy of something.',
                    f'Choose another --{option}, or give --overwrite to replace it.',
                )


def write(
    wanted: Mapping[str, Path],
    images: Mapping[str, np.ndarray],
    contents: Mapping[str, dict[str, Any]],
    template: Path,
) -> None:
    """Write each image and its sidecar; each appears whole or not at all.

    Parameters
    ----------
    wanted : mapping of str to Path
        Files by the option of the output.
    images : mapping of str to array
        (nx, ny, nz), or (n_echo, nx, ny, nz), which is written as (x, y, z, echo).
    contents : mapping of str to dict
        The sidecars.
    template : Path
        The image whose coordinates the results have.

    Raises
    ------
    StepError
        If the disk does not take them.
    """
    header = nib.load(template)
    for option, path in wanted.items():
        image = _image(images[option], header)
        try:
            write_json(sidecar_of(path), contents[option])  # first: no image is ever without
            write_atomically(path, lambda stream, p=path, i=image: _stream(i, p, stream))
        except OSError as error:
            raise StepError(
                f'{path} cannot be written: {error.strerror or error}.',
                'The result is lost, but nothing half-written was left behind.',
                'Make room, or choose another folder, and give the command again.',
                exit_codes.SOME_FAILED,
            ) from None


def sidecar_content(
    verb: Verb, method: Method, output: Output, physics: Physics, result: Result, record: dict
) -> dict[str, Any]:
    """Return the sidecar of one output.

    Parameters
    ----------
    verb, method, output
        What was made, and with what.
    physics : Physics
        Facts of the scan, which the next step finds here.
    result : Result
        Images and time.
    record : dict
        Parameters, inputs and command, the same for all outputs of a call.
    """
    scan = physics.scan
    units = physics.field_unit() if output.units == 'field' else output.units
    content: dict[str, Any] = {'Description': output.description}
    content |= {'Units': units} if units else {'Type': 'ROI'}
    if units == 'rad':
        content['PhaseSignConvention'] = 'paramagnetic positive'
    if 'phase' in scan.files and 'scaling' in vars(physics):
        scaling = physics.scaling
        content['PhaseScaling'] = {
            'Slope': scaling.slope, 'Intercept': scaling.intercept, 'Sign': scaling.sign,
            'DecidedFrom': f'{scaling.source}: {scaling.detail}',
        }  # fmt: skip
    content |= {
        'Stage': verb.stage,
        'Method': method.name,
        'MethodLabel': method.label,
        'MethodVersion': method.version,
        **record,
        **result.facts,
        'Seconds': round(result.seconds, 3),
    }
    if scan.echo_times_s:
        content['EchoTime'] = [round(time, 9) for time in scan.echo_times_s]
    if physics.frequency is not None:
        content['ImagingFrequency'] = physics.frequency.value
    if verb.name == 'cosmos':
        content['B0Directions'] = physics.b0_directions().round(6).tolist()
    elif (verb.uses_b0 or _says_b0(physics)) and physics.b0 is not None:
        content['B0Direction'] = list(physics.b0.value)
    content['GeneratedBy'] = [{'Name': 'qsmbids-step', 'Version': __version__}]
    return content


def references_of(method: Method) -> list[str]:
    """Return the publications of a method as text, with DOI."""
    from qsmbids.report.bibliography import works

    known = works()
    found = []
    for key in filter(None, method.citation.split(',')):
        work = known.get(key.strip())
        found.append(
            f'{work.authors}. {work.title}. {work.journal} {work.source}. doi:{work.doi}'
            if work
            else key.strip()
        )
    return found


def sidecar_of(path: Path) -> Path:
    """Return the path of the JSON beside an image."""
    return _stem(path).with_name(_stem(path).name + '.json')


def _stem(path: Path) -> Path:
    return path.with_name(path.name.removesuffix('.gz').removesuffix('.nii'))


def _says_b0(physics: Physics) -> bool:
    """Tell whether the direction of B0 stands somewhere that the next step does not see."""
    scan = physics.scan
    said = (key in s.values for s in scan.sidecars.values() for key in B0_KEYS)
    return scan.given.b0_direction is not None or any(said)


def _image(data: np.ndarray, template: nib.Nifti1Image) -> nib.Nifti1Image:
    """Return the image of an array with the coordinates of another image, form by form."""
    data = np.asarray(data)
    data = data.astype(np.uint8 if data.dtype == bool else np.float32, copy=False)
    if data.ndim == 4:
        data = np.moveaxis(data, 0, -1)
    image = type(template)(data, template.affine)
    for form in ('sform', 'qform'):
        code = int(template.header[f'{form}_code'])
        matrix = getattr(template.header, f'get_{form}')() if code else template.affine
        getattr(image, f'set_{form}')(matrix, code)
    image.header.set_xyzt_units('mm', 'sec')
    return image


def _stream(image: nib.Nifti1Image, path: Path, stream: BinaryIO) -> None:
    if path.name.endswith('.gz'):
        with Packed(stream) as packed:
            image.to_stream(packed)
    else:
        image.to_stream(stream)
