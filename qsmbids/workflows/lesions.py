"""The node that measures marked lesions and veins.

It stands at the end: nothing waits for it, and its tables have a sink of their own, so that a
marking that cannot be measured never takes the maps along. With an atlas it waits for the labels,
because a lesion is told by the region it lies in.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from nipype import Node

from qsmbids.atlas.lesions import VERSION
from qsmbids.interfaces.lesions import Markings

if TYPE_CHECKING:
    from qsmbids.workflows.acquisition import GraphBuilder
    from qsmbids.workflows.atlas_choice import AtlasChoice

PART = 'markings'  # of the outputs


def add_markings(b: GraphBuilder, atlas: AtlasChoice | None, nodes: dict) -> list[Node]:
    """Add the tables of lesions and veins, if anything is marked."""
    masks = b.acquisition.region_masks
    if not masks:
        return []
    of_atlas = {}
    if atlas is not None:
        of_atlas = {'labels': [dict(row) for row in atlas.labels], 'atlas': atlas.name}
    node = b.node(
        Markings, 'markings', markings=[asdict(mask) for mask in masks],
        sources=[mask.path for mask in masks],
        region=b.config.reference, haematocrit=float(b.config.haematocrit), **of_atlas,
    )  # fmt: skip
    node.inputs.code_version += f' lesions-{VERSION}'
    for key in ('chi', 'qsm_mask', *(['dseg'] if atlas is not None else [])):
        b.connect(*nodes[key], node, key)
    nodes['tables'] = (node, 'tables')
    return [node]
