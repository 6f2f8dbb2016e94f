"""The Dask graph of members, and of means of periods with intervals made from members.

Members of a period are made and forgotten a block at a time: no cube of hourly members ever exists.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import dask.array as da
import numpy as np

from .ensemble import Joint
from .labels import Layers, TimeAxis, periods_axis
from .member_tasks import (
    PeriodBlock,
    distribution_of,
    error_field,
    layers_of,
    member_of,
    places_of,
    summarise,
)
from .nodes import stations_node, task, whole
from .station_side import station_nodes
from .tiles import Targets, split, split_part

#: Periods in a block of a store: one late observation makes one of them again.
PERIODS_PER_BLOCK = {"D": 32, "MS": 1, "QS": 1, "YS": 1}
#: Cells that are summarised at once: 150 MB of estimates of a year of hours. Days that are prepared at once,
#: and steps at least: of daily values, a year.
_CELLS, _DAYS, _STEPS = 2_048, 32, 366


class _Node(NamedTuple):
    """The distributions of one block at the places of one tile; ``shape (time, ...)`` of its arrays."""

    distribution: Any
    field: Any
    places: Any
    shape: tuple[int, ...]


def distributions(joint: Joint, targets: Targets, n_time: int) -> list[list[_Node]]:
    """Return the distributions of estimates as nodes, for each block of ``n_time`` steps and each tile."""
    request = joint.request
    mapper, field = whole(request.mapper), _field(joint)
    cell = targets.cell if joint.ensemble.support == "cell" else None
    at = [(task(places_of)(field, tile.lon, tile.lat, cell), tile.shape) for tile in targets.tiles]
    return [
        [
            _Node(
                task(distribution_of)(mapper, prepared, times, places, joint.device),
                field,
                places,
                (len(times), *shape),
            )
            for places, shape in at
        ]
        for times, prepared in station_nodes(request, mapper, split(len(request.times), n_time))
    ]


def cell_layers(joint: Joint, targets: Targets, blocks: list[list[_Node]]) -> list[da.Array]:
    """Return the value and the bounds of the interval of means of cells, each ``(time, *shape)``."""
    probabilities = joint.request.probabilities
    layers: list[list[da.Array]] = [[] for _ in range(joint.request.n_layers)]
    for block in blocks:
        nodes = [(task(layers_of)(node.distribution, probabilities, node.shape), node.shape) for node in block]
        for i, layer in enumerate(layers):
            layer.append(targets.join([da.from_delayed(node[i], shape, np.float32) for node, shape in nodes]))
    return [da.concatenate(layer) for layer in layers]


def member_layer(n: int, targets: Targets, blocks: list[list[_Node]]) -> da.Array:
    """Return n members, ``(member, time, *shape)``, one in a block."""
    return da.concatenate([
        da.concatenate([
            targets.join([
                da.from_delayed(
                    task(member_of)(node.field, node.places, node.distribution, number, node.shape), (1, *node.shape),
                    np.float32,
                )
                for node in block
            ])
            for block in blocks
        ], axis=1)
        for number in range(n)
    ])  # fmt: skip


def period_layers(
    joint: Joint, targets: Targets, n_period: int, observed: da.Array | None = None
) -> tuple[Layers, TimeAxis]:
    """Return periods with their interval and, where they are asked for, members, in blocks of ``n_period`` periods.

    Parameters
    ----------
    joint : Joint
        With a frequency.
    targets : Targets
    n_period : int
    observed : dask array, (time, place), optional
        Observations, NaN where there is none: only steps count that have one, and their own statistic is the last layer.
    """
    calendar, ensemble = joint.calendar, joint.ensemble
    field = _field(joint) if joint.covariance is not None else None
    cell = targets.cell if ensemble.support == "cell" else None
    finer = targets.finer(_CELLS)
    at = [None if field is None else task(places_of)(field, tile.lon, tile.lat, cell) for tile in finer.tiles]
    blocks = [_period_block(joint, finer, part, field, at, observed) for part in split(len(calendar.start), n_period)]
    axis = -1 - len(targets.chunks)
    layers = [da.concatenate(layer, axis=axis) for layer in zip(*blocks, strict=True)]
    layers = [layer.rechunk(dict(enumerate(targets.chunks, layer.ndim - len(targets.chunks)))) for layer in layers]
    members = layers.pop() if ensemble.members else None
    return Layers(layers, members), periods_axis(joint, n_period)


def _period_block(
    joint: Joint, targets: Targets, part: slice, field: Any, at: list[Any], observed: da.Array | None
) -> list[da.Array]:
    """Return the layers of some periods: ``(period, *shape)``, members ``(member, period, *shape)``."""
    request, calendar, ensemble = joint.request, joint.calendar, joint.ensemble
    steps, index = calendar.block(part.start, part.stop)
    mapper = whole(request.mapper)
    per_part = max(_STEPS, int(_DAYS * np.timedelta64(1, "D") / request.step))
    prepared = station_nodes(request, mapper, split_part(steps, per_part))
    block = PeriodBlock(
        tuple(times for times, _ in prepared), index, calendar.expected[part], ensemble.statistic, ensemble.capture,
        request.probabilities, ensemble.made(request), ensemble.members or 0,
    )  # fmt: skip
    sides, n = [side for _, side in prepared], len(block.expected)
    layers: list[list[da.Array]] = []
    begin = 0
    for tile, places in zip(targets.tiles, at, strict=True):
        seen = None if observed is None else observed[steps, begin : begin + len(tile.lon)]
        begin += len(tile.lon)
        node = task(summarise)(mapper, field, places, tile.lon, tile.lat, block, seen, *sides)
        n_layers = request.n_layers + (seen is not None)
        shapes = [(n,)] * n_layers + [(block.keep, n)] * bool(block.keep)
        layers.append([
            da.from_delayed(node[i], (*shape, len(tile.lon)), np.float32).reshape(*shape, *tile.shape)
            for i, shape in enumerate(shapes)
        ])  # fmt: skip
    return [targets.join(layer) for layer in zip(*layers, strict=True)]


def _field(joint: Joint) -> Any:
    """Return the error field of the stations that take part, as a node."""
    request = joint.request
    return task(error_field)(
        joint.covariance, joint.step_seconds, request.lon, request.lat, stations_node(request), joint.ensemble.seed,
        request.target, joint.device,
    )  # fmt: skip
