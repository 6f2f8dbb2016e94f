"""Tables over all networks and draws of protocol P1: errors in per cent below kriging, and the largest losses."""

from __future__ import annotations

import pandas as pd

CLASSICAL = (
    "nearest", "idw", "idw-released", "kriging", "kriging-log", "kriging-spacetime", "kriging-drift", "boosting",
)  # fmt: skip
AQNET = "aqnet"
#: AQ-Net without geography: it knows a place by its coordinates only.
STATIONS_ALONE = "aqnet-stations"
METHODS = (*CLASSICAL, STATIONS_ALONE, AQNET)
BAR = "kriging"


def print_summary(records: pd.DataFrame) -> None:
    """Print per network the mean skill over seeds, the best classical row and AQ-Net's skill against it; then means over networks."""
    for score in ("mae", "rmse"):
        skill = 100 * records.pivot_table(f"{score}_skill", "network", "method", sort=False, dropna=False)
        errors = records.pivot_table(score, "network", "method", sort=False)
        rows = [m for m in CLASSICAL if m in errors]
        if not rows or BAR not in errors:
            continue
        skill.loc["mean over networks"] = skill.mean()
        skill["best classical"] = errors[rows].idxmin(axis=1)
        if AQNET in errors:
            against = 100 * (1 - errors[AQNET] / errors[rows].min(axis=1))
            skill["aqnet vs best"] = against
            skill.loc["mean over networks", "aqnet vs best"] = against.mean()
        print(f"\n{score.upper()} skill against ordinary kriging, % (positive is better), mean over seeds")
        print(skill.to_string(float_format="{:.1f}".format, na_rep=""), flush=True)


def draw_by_draw(records: pd.DataFrame) -> pd.DataFrame:
    """Return MAE and RMSE of every draw in per cent below kriging.

    Parameters
    ----------
    records : pandas.DataFrame
        Rows of :func:`to_records`, kriging among them.

    Returns
    -------
    pandas.DataFrame
        Rows (network, seed); columns (score, method), with ``best classical``, the row with the lowest error in that draw, and
        ``aqnet vs best``, AQ-Net's error in per cent below it.
    """
    tables = {}
    for score in ("mae", "rmse"):
        errors = records.pivot_table(score, ["network", "seed"], "method", sort=False)
        rows = errors[[m for m in CLASSICAL if m in errors]]
        table = 100 * (1 - errors.div(errors[BAR], axis=0))
        table["best classical"] = rows.idxmin(axis=1)
        if AQNET in errors:
            table["aqnet vs best"] = 100 * (1 - errors[AQNET] / rows.min(axis=1))
        tables[score] = table.drop(columns=BAR)
    return pd.concat(tables, axis=1)


def largest_loss(table: pd.DataFrame) -> str:
    """Return a line on the draw in which AQ-Net does worst against kriging, and against the best classical row of the draw."""
    parts = []
    for score in ("mae", "rmse"):
        for column, other in ((AQNET, BAR), ("aqnet vs best", "best classical row")):
            values = table[score, column].astype(float)
            network, seed = values.idxmin()
            parts.append(f"{score.upper()} {-values.min():+.1f} % against {other} ({network}, seed {seed})")
    return f"largest loss of AQ-Net in a draw (negative where it gains in all): {'; '.join(parts)}"


def print_draws(records: pd.DataFrame) -> None:
    """Print :func:`draw_by_draw`, and in a last line the largest loss of AQ-Net."""
    if BAR not in set(records.method):
        return
    table = draw_by_draw(records)
    for score in ("mae", "rmse"):
        print(f"\n{score.upper()} of each draw, % below ordinary kriging (positive is better)")
        print(table[score].to_string(float_format="{:.1f}".format, na_rep=""))
    if AQNET in table["mae"]:
        print(largest_loss(table), flush=True)
