"""Ridge regression of many leads: the same as each lead solved alone."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from xaq.training.ridge import NormalEquations, Rows


@given(st.integers(0, 1000), st.sampled_from([0, 1, 4]), st.sampled_from([1e-2, 1.0, 10.0]))
def test_coefficients_are_those_of_each_lead_solved_alone(seed, n_own, ridge):
    rng, n_lead, n_common = np.random.default_rng(seed), 3, 5
    shared, own = rng.normal(size=(60, n_common)), rng.normal(size=(n_lead, 60, n_own))
    target = rng.normal(size=(n_lead, 60, 2))
    rows = np.concatenate([np.broadcast_to(shared, (n_lead, 60, n_common)), own], axis=2)
    halves = []
    for part in (slice(None, 25), slice(25, None)):
        equations = NormalEquations.zeros(n_lead, n_common, n_own, torch.device("cpu"))
        equations.add(Rows(*(torch.as_tensor(x) for x in (shared[part], own[:, part], target[:, part]))))
        halves.append(equations)
    solved = NormalEquations.sum(halves).solve(ridge)
    for lead, x in enumerate(rows):
        gram = x.T @ x
        expected = np.linalg.solve(gram + ridge * np.diag(np.diag(gram)), x.T @ target[lead])
        np.testing.assert_allclose(solved[:, lead].numpy(), expected.T, rtol=1e-3, atol=1e-4)
