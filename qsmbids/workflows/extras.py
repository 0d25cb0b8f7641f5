"""Maps beyond susceptibility that are made on request: its two signs, weighted images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nipype import Node

from qsmbids.bids.names import contrast_keys
from qsmbids.interfaces.contrast import Contrast, contrast_inputs
from qsmbids.interfaces.separation import Separation
from qsmbids.workflows.settings import steps_of

if TYPE_CHECKING:
    from qsmbids.workflows.acquisition import GraphBuilder


def add_separation(b: GraphBuilder, nodes: dict, direction: list, threads: int) -> list[Node]:
    """Add the separation into paramagnetic and diamagnetic parts, if it is planned."""
    config = b.config
    if 'separation' not in dict(steps_of(b.acquisition, config)):
        return []
    name = config.methods['separation']
    node = b.node(
        Separation, 'separation', [('separation', name)], n_threads=threads, method=name,
        parameters=config.parameters('separation'), b0_direction=direction,
        imaging_frequency_mhz=float(b.acquisition.imaging_frequency_mhz.value),
        **({'t2_map': b.acquisition.t2_map} if b.acquisition.t2_map else {}),
    )  # fmt: skip
    for key in ('chi', 'qsm_mask', 'r2star', 'local_field', 'local_mask', 'field_noise'):
        b.connect(*nodes[key], node, key)
    for key in ('chi_positive', 'chi_negative'):
        nodes[key] = (node, key)
    return [node]


def add_contrasts(b: GraphBuilder, nodes: dict, times: list, direction: list) -> list[Node]:
    """Add each weighted image that was asked for, with its projection."""
    made = []
    for name in b.config.contrasts:
        image, projection = contrast_keys(name)
        node = b.node(
            Contrast, f'contrast_{image}', [('contrast', name)],
            method=name, echo_times_s=times,
            parameters=b.config.parameters('contrast', name), b0_direction=direction,
        )  # fmt: skip
        for key in (*contrast_inputs(name), 'brain_mask'):
            b.connect(*nodes[key], node, key)
        nodes |= {image: (node, 'image'), projection: (node, 'projection')}
        made.append(node)
    return made
