"""The covariance of errors by its formula, place by place: what members and variances are compared with."""

import numpy as np

from xaq.arrays import sphere
from xaq.interpolate.error_covariance import SUB_POINTS, ErrorCovariance
from xaq.interpolate.kriging import Covariance

#: Conditioned on stations by kriging with this covariance.
KRIGING = Covariance(60.0, 0.15)


def made_covariance(weights, times=(0.0, 3.0, 48.0, 768.0), ranges=(0.0, 10.0, 40.0, 160.0), stations=KRIGING):
    """Return a covariance with the weights of some terms, ``{(time, range): weight}``; the time of the lasting term is infinite."""
    rows = np.zeros((len(times) + 1, len(ranges)))
    for (time, range_km), weight in weights.items():
        rows[(*times, np.inf).index(time), ranges.index(range_km)] = weight
    return ErrorCovariance(times, ranges, tuple(map(tuple, rows.tolist())), stations)


def in_space(errors, lon, lat, station_lon=(), station_lat=(), cell=None):
    """Return the covariance between errors of places that each term of weight 1 gives, ``(range, place, place)``.

    A site's own part belongs to one instrument: two stations at one place do not share it. Of means of cells it is 0.
    """
    lon, lat, station_lon, station_lat = (np.asarray(a, float) for a in (lon, lat, station_lon, station_lat))
    n, m = len(lon), len(station_lon)
    offset = [0.0] if cell is None else (np.arange(SUB_POINTS) + 0.5) / SUB_POINTS - 0.5
    size = (0.0, 0.0) if cell is None else cell
    points = [(x * size[0], y * size[1]) for x in offset for y in offset]
    # The field at all sub-points of the places, then at the stations; each error is a combination of these.
    all_lon = np.concatenate([*(lon + x for x, _ in points), station_lon])
    all_lat = np.concatenate([*(lat + y for _, y in points), station_lat])
    combine = np.hstack(
        [*([np.eye(n) / len(points)] * len(points)), -weights_of(errors, lon, lat, station_lon, station_lat)]
    )
    distance = sphere.distance_km(all_lon[:, None], all_lat[:, None], all_lon, all_lat)
    own = np.eye(len(all_lon))
    if cell is not None:
        own[: -m or None, : -m or None] = 0.0
    return np.array([combine @ (np.exp(-distance / r) if r else own) @ combine.T for r in errors.ranges_km])


def weights_of(errors, lon, lat, station_lon, station_lat):
    """Return the kriging weights of all stations, ``(place, station)``."""
    near = errors.neighbours(station_lon, station_lat, lon, lat)
    weights = np.zeros((len(lon), len(station_lon)))
    for place, (of, own) in enumerate(zip(near.of, near.weights, strict=True)):
        weights[place, of] = own
    return weights


def correlation(errors, terms):
    """Return the correlation of errors at one time from the terms of :func:`in_space`, ``(place, place)``."""
    total = np.einsum("l,lij->ij", errors.by_range, terms)
    std = np.sqrt(np.diag(total))
    return total / std[:, None] / std
