"""Which of the steps that could start now should start first."""

from __future__ import annotations

from typing import Any


def priorities(graph: Any) -> dict[Any, tuple[int, float]]:
    """Return a sort key for each node; the smallest goes first.

    One acquisition after the other, in the order of the graph, so that results appear from
    the beginning and the work folder does not fill with half-done ones. Within one, the node
    with the longest way to the end goes first, so that long steps (a registration) are not
    left over for the end, when nothing else is there to run beside them.

    Parameters
    ----------
    graph : networkx.DiGraph
        Its nodes may have an attribute ``qsmbids_seconds``, the expected time; without it
        all count alike.
    """
    import networkx as nx
    from nipype.pipeline.engine.utils import topological_sort

    order, _ = topological_sort(graph)
    to_the_end: dict[Any, float] = {}
    for node in reversed(order):
        own = float(getattr(node, 'qsmbids_seconds', 0.0) or 0.0)
        after = (to_the_end[follower] for follower in graph.successors(node))
        to_the_end[node] = own + max(after, default=0.0)
    position = {node: n for n, node in enumerate(order)}
    keys = {}
    for part in nx.weakly_connected_components(graph):
        first = min(position[node] for node in part)
        keys |= {node: (first, -to_the_end[node]) for node in part}
    return keys
