"""The mask "atlas": which runs can have it, and its node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qsmbids.config import Config
from qsmbids.interfaces.atlas_mask import AtlasMask
from qsmbids.plan.models import Acquisition
from qsmbids.qsm.mask_grammar import parse_mask
from qsmbids.workflows.settings import mask_expression

if TYPE_CHECKING:
    from nipype import Node

    from qsmbids.workflows.acquisition import GraphBuilder
    from qsmbids.workflows.atlas_choice import AtlasChoice

_NAMED = 3  # more keys in one sentence help nobody


def wants_atlas_mask(acquisition: Acquisition, config: Config) -> bool:
    """Return whether the brain mask of an acquisition is made with the atlas."""
    return 'atlas' in parse_mask(mask_expression(acquisition, config)).names()


def check_atlas_mask(acquisitions: Sequence[Acquisition], config: Config) -> None:
    """Refuse the mask "atlas" before the run where there is no atlas to make it from.

    Raises
    ------
    ValueError
        With ``recon_only``, and for scans without phase or without an age.
    """
    wanted = [a for a in acquisitions if wants_atlas_mask(a, config)]
    if not wanted:
        return
    if config.recon_only:
        raise ValueError(
            f'--mask "{config.mask}" needs the atlas.\n'
            'With --recon-only there is none.\n'
            'Use another mask such as bet, or leave --recon-only out.'
        )
    without_phase = [a.key for a in wanted if a.phase_scaling is None]
    if without_phase:
        raise ValueError(
            f'--mask "{config.mask}": {_listing(without_phase)} without phase.\n'
            'The atlas is only brought to scans from which susceptibility is computed.\n'
            'Use another mask such as bet, or leave these scans out with --bids-filter-file.'
        )
    ageless = [a.key for a in wanted if a.age_years is None or a.age_years.value is None]
    if ageless and not config.cohort:
        raise ValueError(
            f'--mask "{config.mask}": {_listing(ageless)} without an age.\n'
            'The atlas, and so the brain mask, is chosen by age.\n'
            'Add the age to participants.tsv, give --age or --cohort, or use another mask.'
        )


def add_atlas_mask(
    b: GraphBuilder, load: Node, mask: Node, atlas: AtlasChoice | None
) -> list[Node]:
    """Add the mask "atlas" if the expression of the brain mask names it.

    Without an atlas nothing is added: such a graph only serves to estimate memory, since
    :func:`check_atlas_mask` refuses the run.
    """
    if atlas is None or not wants_atlas_mask(b.acquisition, b.config):
        return []
    node = b.node(
        AtlasMask, 'atlas_mask', [('mask', 'bet')], template=dict(atlas.files),
        seed=b.config.random_seed,
    )  # fmt: skip
    node.inputs.code_version += f' {atlas.stamp}'
    b.connect(load, 'rss', node, 'rss')
    b.connect(node, 'atlas_mask', mask, 'atlas_mask')
    return [node]


def _listing(keys: Sequence[str]) -> str:
    """Return ``a is`` or ``a, b, c and 2 more are``."""
    rest = len(keys) - _NAMED
    text = ', '.join(keys[:_NAMED]) + (f' and {rest} more' if rest > 0 else '')
    return f'{text} {"is" if len(keys) == 1 else "are"}'
