"""Whether a run is complete: judged by the outputs that were promised, not by silence."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib

from qsmbids.bids import names as bids_names
from qsmbids.config import Config
from qsmbids.execution.failures import Failure
from qsmbids.plan.cosmos import CosmosGroup
from qsmbids.plan.models import Acquisition
from qsmbids.workflows.settings import steps_of


@dataclass(frozen=True)
class Outcome:
    """What became of one acquisition.

    Parameters
    ----------
    acquisition : Acquisition or CosmosGroup
    names : mapping
        Promised outputs, key to path below the output folder.
    missing : tuple of str
        Promised files that are absent or unreadable.
    failures : tuple of Failure
        Steps that failed.
    kept : bool
        Whether an earlier run had finished it.
    """

    acquisition: Acquisition | CosmosGroup
    names: Mapping[str, str]
    missing: tuple[str, ...]
    failures: tuple[Failure, ...]
    kept: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return not self.missing and not self.failures

    @property
    def reason(self) -> str:
        """One line on why it is not complete."""
        if self.failures:
            first = self.failures[0]
            return f'{first.title}: {first.message.splitlines()[0]}'
        return f'missing: {", ".join(self.missing[:3])}' if self.missing else ''


def promised_names(
    acquisition: Acquisition, config: Config, cohort: str, part: str = ''
) -> dict[str, str]:
    """Return the outputs that an acquisition will have, key to path.

    Parameters
    ----------
    cohort : str
        Cohort of the atlas; '' when there are no atlas outputs.
    part : str
        'recon', 'extras' (separated maps, weighted images), 'markings' (tables of lesions and
        veins) or 'atlas' for the outputs of one part, '' for all. The table of quality numbers
        belongs to none: it is written when all are known.
    """
    stages = {stage for stage, _ in steps_of(acquisition, config)}
    wanted = {
        'phase': acquisition.phase_scaling is not None,
        'relaxation': 'relaxometry' in stages,
    }
    extra = {'separation': 'separation' in stages, 'contrasts': config.contrasts}
    marked = {'markings': [(mask.kind, mask.label) for mask in acquisition.region_masks]}
    label = atlas_label(config.atlas) if cohort else ''
    entities = acquisition.entities
    recon = bids_names.output_names(entities, **wanted)
    extras = bids_names.output_names(entities, **wanted, **extra)
    markings = bids_names.output_names(entities, **wanted, **marked)
    everything = bids_names.output_names(
        entities, **wanted, **extra, **marked, atlas=label, cohort=cohort
    )
    if not part:
        return everything
    keys = {
        'recon': recon.keys(),
        'extras': extras.keys() - recon.keys(),
        'markings': markings.keys() - recon.keys(),
        'atlas': everything.keys() - extras.keys() - markings.keys(),
    }[part]
    return {key: everything[key] for key in sorted(keys) if key != 'qc'}


def atlas_label(atlas: str) -> str:
    """Return the label of an atlas that was given by name or by folder.

    The folder is ``tpl-<label>`` itself or the one that holds it.
    """
    path = Path(atlas)
    templates = [path.name] if path.name.startswith('tpl-') else []
    templates += sorted(found.name for found in path.glob('tpl-*'))
    return templates[0].removeprefix('tpl-') if templates else path.name


def judge(
    acquisition: Acquisition | CosmosGroup,
    names: Mapping[str, str],
    output_dir: Path,
    failures: Sequence[Failure] = (),
) -> Outcome:
    """Look for every promised file and its sidecar."""
    wanted = bids_names.with_sidecars(names.values())
    missing = tuple(path for path in wanted if not _readable(output_dir / path))
    return Outcome(acquisition, names, missing, tuple(failures))


def _readable(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    if path.name.endswith('.nii.gz'):
        try:
            nib.load(path)
        except (OSError, EOFError, zlib.error, nib.filebasedimages.ImageFileError):
            return False
    return True
