"""The graph that builds an atlas.

For each age group, and then once more for the averages of the groups:

    hybrid image -> linear registration -> linear average -> (registration -> average) x rounds
     per person      per person             one per group      per person      one per group

Then the templates of each group in the common space, and the labels. Nodes depend on files
only, so a build that was stopped goes on where it was, and people added later are prepared
while the others are not prepared again.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nipype import Node, Workflow
from nipype.interfaces.utility import Merge

from qsmbids import __version__
from qsmbids.atlas.build import VERSION
from qsmbids.atlas.build.common_space import common_reference
from qsmbids.atlas.build.groups import AgeGroup, Person
from qsmbids.atlas.build.parcellation import table_of
from qsmbids.atlas.build.prepare import write_reference
from qsmbids.atlas.builtin import NAME as BUILTIN
from qsmbids.atlas.builtin import write_builtin
from qsmbids.atlas.cohorts import pick_cohort
from qsmbids.atlas.dataset import Atlas, AtlasFiles, open_atlas
from qsmbids.config import DEFAULT_SEED
from qsmbids.interfaces import build_atlas as steps
from qsmbids.interfaces.base import Step

NAME = 'atlas_build'
COMMON = 'common'  # label of the group whose members are the averages of the age groups
_BASE_GB = 0.5  # an interpreter with the libraries and ANTs loaded
# per voxel of the atlas; measured at 2.5 mm: 0.66 GB a registration, 0.59 GB an average
_ANTS_BYTES, _AVERAGE_BYTES = 420, 340
_GRID_MM3 = 6.3e6  # box around the brain with its margin


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What is to be built.

    Parameters
    ----------
    groups : sequence of AgeGroup
    name, licence : str
    out : Path
        The atlas will be ``out/name``.
    work_dir : Path
    labels_from : Path
        Folder of the atlas that labels are carried from.
    drawn : Path, optional
        Regions drawn on the templates of a first build.
    rounds : int
        Of deformable registration within each group, and between groups.
    resolution_mm : float
    min_people : int
        Fewer people left in a group end the build.
    anonymous : bool
        Leave the labels of the people out of what is written.
    replace : bool
        Replace an atlas of that name.
    notes : sequence of str
        What was decided before.
    """

    groups: Sequence[AgeGroup]
    name: str
    licence: str
    out: Path
    work_dir: Path
    labels_from: Path
    drawn: Path | None = None
    rounds: int = 4
    resolution_mm: float = 1.0
    min_people: int = 3
    seed: int = DEFAULT_SEED
    anonymous: bool = False
    replace: bool = False
    nprocs: int = 1
    mem_gb: float = 4.0
    plugin_file: Path | None = None
    verbose: int = 0
    notes: Sequence[str] = ()


class BuildGraph:
    """The nodes, and which of them the atlas is written from.

    Parameters
    ----------
    request : BuildRequest
    source : Atlas
        That labels are carried from.

    Attributes
    ----------
    workflow : Workflow
    titles : dict
        Node to what a person reads.
    last : dict
        What a result is (``group1``, ``common``, ``templates_1``, ``labels``) to its node.
    """

    def __init__(self, request: BuildRequest, source: Atlas):
        self.request = request
        self.workflow = Workflow(name=NAME, base_dir=str(request.work_dir))
        self.titles: dict[str, str] = {}
        self.last: dict[str, str] = {}
        middle = request.groups[(len(request.groups) - 1) // 2]
        self._reference = _reference(request, middle)
        averages = {g.label: self._age_group(g) for g in request.groups}
        common = None
        if len(averages) > 1:
            common = self._group(COMMON, 'all ages', averages, least=len(averages))
        everybody = [person for group in request.groups for person in group.people]
        rereference = not common_reference(everybody)
        for group in request.groups:
            node = self._node(
                steps.Templates, f'templates_{group.label}', age_words(group), _AVERAGE_BYTES,
                label=f'group{group.label}', people=[_plain(p) for p in group.people],
                rereference=rereference,
            )  # fmt: skip
            self.workflow.connect(averages[group.label], 'result', node, 'group')
            if common is not None:
                self.workflow.connect(common, 'result', node, 'common')
            self.last[f'templates_{group.label}'] = node.name
            if group is middle:
                self._labels(node, source, middle)

    def _age_group(self, group: AgeGroup) -> Node:
        prepared = {}
        for person in group.people:
            optional = {'t1w': str(person.t1w)} if person.t1w else {}
            prepared[person.label] = self._node(
                steps.Prepare, f'prepare_{_word(person.label)}', person.label, 0,
                bytes_in_all=60 * _voxels(person.chi), label=person.label,
                chi=str(person.chi), magnitude=str(person.magnitude),
                brain_mask=str(person.brain_mask), qsm_mask=str(person.qsm_mask),
                seed=self.request.seed, **optional,
            )  # fmt: skip
        label = f'group{group.label}'
        return self._group(label, age_words(group), prepared, least=self.request.min_people)

    def _group(self, label: str, words: str, members: Mapping[str, Node], least: int) -> Node:
        """Add linear and deformable rounds; return the node of the last average."""
        request, reference = self.request, self._reference
        linear = {}
        for name, member in members.items():
            linear[name] = self._node(
                steps.Linear, f'{label}_linear_{_word(name)}', f'{words}: {name}', _ANTS_BYTES,
                seed=request.seed, **reference,
            )  # fmt: skip
            self.workflow.connect(member, 'result', linear[name], 'member')
        average = start = self._join(
            f'{label}_linear', linear, steps.LinearAverage, words, label=label, least=least,
            **reference,
        )  # fmt: skip
        for turn in range(1, request.rounds + 1):
            fine = 2 * turn > request.rounds
            registered = {}
            for name, member in linear.items():
                node = self._node(
                    steps.Round, f'{label}_round{turn}_{_word(name)}',
                    f'{words}, round {turn}: {name}', _ANTS_BYTES, fine=fine, seed=request.seed,
                )  # fmt: skip
                for source, trait in ((member, 'member'), (average, 'average'), (start, 'start')):
                    self.workflow.connect(source, 'result', node, trait)
                registered[name] = node
            old, average = average, self._join(
                f'{label}_round{turn}', registered, steps.NextAverage, f'{words}, round {turn}',
                label=label, least=least,
            )  # fmt: skip
            self.workflow.connect(old, 'result', average, 'average')
        self.last[label] = average.name
        return average

    def _join(
        self, name: str, members: Mapping[str, Node], step: type[Step], words: str, **inputs: Any
    ) -> Node:
        """Add a step that takes the results of all members."""
        merge = Node(Merge(len(members)), name=f'{name}_members', run_without_submitting=True)
        node = self._node(step, f'{name}_average', words, _AVERAGE_BYTES, **inputs)
        for number, member in enumerate(members.values(), start=1):
            self.workflow.connect(member, 'result', merge, f'in{number}')
        self.workflow.connect(merge, 'out', node, 'members')
        return node

    def _labels(self, templates: Node, source: Atlas, group: AgeGroup) -> None:
        request = self.request
        inputs: dict[str, Any] = {}
        if request.drawn is not None:
            inputs = {'drawn': str(request.drawn), 'drawn_table': str(table_of(request.drawn))}
        found = vars(cohort_files(source, group.mean_age))
        files = {key: str(path) for key, path in found.items() if path}
        node = self._node(
            steps.CarryLabels, 'labels', source.name, _ANTS_BYTES, seed=request.seed,
            source=files, source_files=sorted(files.values()),
            labels=[asdict(label) for label in source.labels], **inputs,
        )  # fmt: skip
        self.workflow.connect(templates, 'result', node, 'templates')
        self.last['labels'] = node.name

    def _node(
        self, step: type[Step], name: str, words: str, bytes_per_voxel: int,
        bytes_in_all: int = 0, **inputs: Any,
    ) -> Node:  # fmt: skip
        voxels = _GRID_MM3 / self.request.resolution_mm**3
        memory = _BASE_GB + (bytes_per_voxel * voxels + bytes_in_all) / 1e9
        interface = step(code_version=f'{__version__} {VERSION}', **inputs)
        node = Node(interface, name=name, mem_gb=round(memory, 2))
        self.workflow.add_nodes([node])
        self.titles[name] = words
        return node


def age_words(group: AgeGroup) -> str:
    """Return the ages of a group for people.

    Examples
    --------
    >>> age_words(AgeGroup('1', 8, 21, ()))
    'ages 8 to 21'
    """
    return f'ages {group.age_min:g} to {group.age_max:g}'


def _reference(request: BuildRequest, middle: AgeGroup) -> dict[str, str]:
    """Write the brain of the built-in atlas that everybody is first laid on."""
    atlas = open_atlas(write_builtin(request.work_dir / 'atlases', []))
    folder = request.work_dir / 'reference'
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / 'made_of.txt'
    with_t1w = middle.people[0].t1w is not None
    cohort = pick_cohort(atlas.cohorts, middle.mean_age)[0].label
    made_of = f'{__version__} {VERSION} {cohort} {request.resolution_mm} {with_t1w}'
    wanted = {key: folder / f'reference{end}.nii' for key, end in _REFERENCE_FILES.items()}
    # written once: a new time of change would make all steps run again
    if not written.is_file() or written.read_text(encoding='utf-8') != made_of:
        files = cohort_files(atlas, middle.mean_age)
        write_reference(files, folder, request.resolution_mm, t1w=with_t1w)
        written.write_text(made_of, encoding='utf-8')
    return {key: str(path) for key, path in wanted.items()}


_REFERENCE_FILES = {'reference': '', 'reference_brain': '_brain'}


def cohort_files(atlas: Atlas, age: float) -> AtlasFiles:
    """Return the images of the cohort of an age; those of the built-in atlas are made."""
    cohort = pick_cohort(atlas.cohorts, age)[0]
    if atlas.name == BUILTIN:
        write_builtin(atlas.root.parent, [cohort.label])
    return atlas.files(cohort.label)


def _voxels(path: Path) -> int:
    try:
        return int(np.prod(nib.load(path).shape))
    except (OSError, EOFError, zlib.error, ImageFileError):
        return 0  # the step that reads it says what is wrong


def _word(label: str) -> str:
    """Return a label as part of the name of a node."""
    return re.sub(r'[^0-9A-Za-z]', '', label)


def _plain(person: Person) -> dict[str, Any]:
    """Return a person without paths and absent files, as an input of a node."""
    found = {key: value for key, value in asdict(person).items() if value is not None}
    return {key: str(v) if isinstance(v, Path) else v for key, v in found.items()}
