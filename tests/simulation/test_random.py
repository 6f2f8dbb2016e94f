"""Random numbers by counter: standard normal, independent, and functions of their keys alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xaq.simulation import random as module
from xaq.simulation.random import key, normals, place_keys, uniforms

INTEGERS = st.integers(-(2**62), 2**62)
#: Coordinates as networks give them: of some decimals, among them the seventh.
LONGITUDES, LATITUDES = (
    st.tuples(st.integers(-n * 10**6, n * 10**6 - 1), st.sampled_from([0, 2, 5])).map(
        lambda i: (10 * i[0] + i[1]) / 10**7
    )
    for n in (180, 90)
)


def test_the_hash_is_the_published_one():
    """The first numbers of SplitMix64 with the seed 1234567, as its implementations print them."""
    state = torch.arange(1, 6) * module._STEP + 1234567
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [x % 2**64 for x in module._hash(state).tolist()] == expected


@pytest.mark.parametrize("counters", [torch.arange(100_000), torch.arange(100_000) * 2**40 - 2**55])
def test_numbers_are_standard_normal_and_independent(counters):
    first, second = (x.numpy().astype(float) for x in normals(key(0, 1), counters))
    for x in (first, second):
        assert stats.kstest(x, "norm").pvalue > 1e-3
        assert abs(stats.kurtosis(x)) < 0.1
    other = normals(key(0, 2), counters)[0].numpy()
    # Five standard errors.
    for a, b in ((first, second), (first[1:], first[:-1]), (first[1:], second[:-1]), (first, other)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(len(a))
        assert abs(np.corrcoef(a**2, b**2)[0, 1]) < 5 / np.sqrt(len(a))


@given(INTEGERS, st.lists(INTEGERS, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_a_number_depends_on_its_key_and_counter_alone(own, counters, random):
    together = normals(own, torch.tensor(counters))
    order = random.sample(range(len(counters)), len(counters))
    shuffled = normals(own, torch.tensor(counters)[order])
    alone = [normals(own, torch.tensor(c)) for c in counters]
    for i in range(2):
        assert torch.isfinite(together[i]).all()
        assert torch.equal(together[i][order], shuffled[i])
        assert torch.equal(together[i], torch.stack([pair[i] for pair in alone]))


def test_keys_tell_their_parts_and_the_order_of_these_apart():
    parts = [(seed, member, kind) for seed in range(12) for member in range(12) for kind in range(12)]
    made = {key(*p) for p in (*parts, *(p[:2] for p in parts), *((*p, 0) for p in parts))}
    assert len(made) == 2 * 12**3 + 12**2


@given(INTEGERS, st.integers(1, 50))
def test_uniform_numbers_lie_between_0_and_1_and_do_not_depend_on_how_many_are_asked_for(own, n):
    made = uniforms(own, n)
    assert ((made > 0) & (made < 1)).all()
    np.testing.assert_array_equal(uniforms(own, 50)[:n], made)


def test_uniform_numbers_are_uniform():
    assert stats.kstest(uniforms(key(4), 100_000), "uniform").pvalue > 1e-3


@given(LONGITUDES, LATITUDES, st.integers(-2, 2))
def test_a_place_has_one_key_in_all_conventions_of_longitude(lon, lat, turns):
    (here,), (there,) = (place_keys(np.array([x]), np.array([lat])) for x in (lon, lon + 360 * turns))
    assert here == there


@given(LONGITUDES, LATITUDES, st.sampled_from([(2e-6, 0.0), (0.0, 2e-6), (2e-6, -2e-6), (180.0, 0.0)]))
def test_places_apart_have_other_keys(lon, lat, step):
    keys = place_keys(np.array([lon, lon + step[0]]), np.array([lat, lat + step[1]]))
    assert keys[0] != keys[1]


def test_a_place_has_the_same_key_in_a_map_as_at_a_point():
    lon, lat = np.meshgrid(np.linspace(-180, 179.9, 61), np.linspace(-89.95, 89.95, 31))
    keys = place_keys(lon.ravel(), lat.ravel())
    assert len(np.unique(keys)) == keys.size
    np.testing.assert_array_equal(
        keys, [place_keys(np.array([x]), np.array([y]))[0] for x, y in zip(lon.flat, lat.flat, strict=True)]
    )
