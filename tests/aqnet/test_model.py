"""A model is a value and a file: safetensors + JSON, nothing executed on loading."""

import dataclasses
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file

import xaq
from xaq.aqnet import description
from xaq.aqnet.recipe import Interval, untrained_network
from xaq.errors import ModelError, XaqWarning
from xaq.interpolate.trend import BackgroundFactor, Trend, TrendRecord
from xaq.nn.config import AQNetConfig


@dataclass(frozen=True)
class Field:
    """A field that is never read."""

    name: str
    units: str = "ug m-3"
    hash: str = "0"


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=16, days=6, seed=1).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train(
        "pm25", config=AQNetConfig(hidden=8, heads=2, k=8, temporal=True), max_epochs=1, progress=False
    )


def test_a_saved_model_is_the_same_model(network, model, tmp_path):
    path = model.save(tmp_path / "pm25.xaq")
    loaded = xaq.load_model(path, device="cpu")
    assert loaded.hash == model.hash
    assert loaded.recipe == model.recipe
    spot = {"lon": [10.0], "lat": [50.0]}
    np.testing.assert_array_equal(network.aq.estimate(loaded, **spot).pm25, network.aq.estimate(model, **spot).pm25)
    assert [p.name for p in tmp_path.iterdir()] == ["pm25.xaq"]


def test_the_file_holds_no_pickle(model, tmp_path):
    data = model.save(tmp_path / "m.xaq").read_bytes()
    header = int.from_bytes(data[:8], "little")
    assert data[8 : 8 + header].decode().startswith("{")
    # What a reader of pickles stumbles over first depends on the bytes.
    with pytest.raises((pickle.UnpicklingError, RuntimeError, LookupError, ValueError)):
        torch.load(tmp_path / "m.xaq", weights_only=True)


def test_a_model_travels_between_processes_and_is_loaded_once(model):
    sent = pickle.dumps(model)
    assert len(sent) < 300_000
    assert pickle.loads(sent).hash == model.hash
    assert pickle.loads(sent) is pickle.loads(sent)


@pytest.mark.parametrize(
    ("record", "argument"),
    [
        (
            TrendRecord(background={"name": "cams", "units": "ug m-3", "hash": "0", "mean": 1.0, "slope": 1.0}),
            "background=field",
        ),
        (
            TrendRecord(
                drift=(
                    {"kind": "raster", "name": "elevation", "units": "m", "hash": "0"}
                    | {"low": 0.0, "high": 1.0, "std": 1.0, "slope": 0.1},
                )
            ),
            "rasters=",
        ),
    ],
)
def test_a_model_trained_on_fields_does_nothing_without_them(network, model, record, argument):
    """Also where its Python API is used, which no verb guards; and after a journey to another process."""
    from xaq.stations import schema

    recipe = replace(model.recipe, trend=record)
    bare = xaq.aqnet.model.Model(untrained_network(recipe), recipe)
    observations, times = schema.observations(network.aq.visible, "pm25"), network.time.values[48:72]
    prepared = model.prepare(observations, times)
    place = np.array([10.0]), np.array([50.0])
    for lacking in (bare, pickle.loads(pickle.dumps(bare))):
        for use in (
            lambda m: m.prepare(observations, times),
            lambda m: m.estimate(prepared, *place),
            lambda m: m.fill(np.empty((1, 24, 1), "f4"), prepared, *place, []),
            lambda m: m.explain(prepared, 10.0, 50.0),
            lambda m: m.attention(observations, times[0]),
        ):
            with pytest.raises(ModelError, match=f"cannot estimate without them; fix: .*{argument}"):
                use(lacking)


def test_the_token_of_a_model_says_which_fields_it_reads(model):
    from dask.base import tokenize

    again = pickle.loads(pickle.dumps(model))
    assert tokenize(again) == tokenize(model)
    others = [Trend(BackgroundFactor(Field(name), mean, 1.0)) for name, mean in (("a", 1.0), ("b", 1.0), ("a", 2.0))]
    assert len({tokenize(m) for m in (model, *(model.with_trend(trend) for trend in others))}) == 4
    there = pickle.loads(pickle.dumps(model.with_trend(others[0])))
    assert there.fields == others[0].fields
    assert tokenize(there) == tokenize(model.with_trend(others[0]))


def test_files_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no model file"):
        xaq.load_model(tmp_path / "absent.xaq")
    (tmp_path / "text.xaq").write_text("hello")
    with pytest.raises(ModelError, match="no readable model"):
        xaq.load_model(tmp_path / "text.xaq")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.xaq")
    with pytest.raises(ModelError, match="not one of xaq's"):
        xaq.load_model(tmp_path / "other.xaq")


def test_a_truncated_model_is_refused(model, tmp_path):
    path = model.save(tmp_path / "m.xaq")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError):
        xaq.load_model(path)


def test_saving_into_a_missing_folder_says_so(model, tmp_path):
    with pytest.raises(ModelError, match="no such folder"):
        model.save(tmp_path / "nowhere" / "m.xaq")


def test_repr_says_what_it_is(model):
    text = repr(model)
    for part in ("analysis of pm25 [ug m-3]", "step 1h", "kriging", "MAE"):
        assert part in text


@pytest.mark.parametrize(("km", "text"), [(3512.0, "3,510"), (205.4, "205"), (8.53, "8.53")])
def test_distances_are_written_without_a_power_of_ten(km, text):
    assert description._km_text(km) == text


@pytest.mark.parametrize("method", ["model", "kriging"])
def test_intervals_of_any_level_nest(network, model, method):
    spot = {"lon": [10.0], "lat": [50.0]}
    mapper = model if method == "model" else method
    narrow, wide = (network.aq.estimate(mapper, **spot, level=level).compute() for level in (0.5, 0.9))
    assert (wide.pm25_lower <= narrow.pm25_lower).all()
    assert (wide.pm25_upper >= narrow.pm25_upper).all()
    assert (narrow.pm25_upper > narrow.pm25_lower).all()


def test_quantiles_belong_to_lead_days_and_never_cross():
    interval = Interval((1.0, 0.0, 0.0), (0.1, 0.5, 0.9), ((-1.0, 0.0, 1.0), (-4.0, 0.0, 2.0)))
    days = np.array([0, 1, 5])
    np.testing.assert_allclose(interval.quantile(days, 0.9), [1, 2, 2])
    np.testing.assert_allclose(interval.quantile(days, 0.3), [-0.5, -2, -2])
    np.testing.assert_allclose(interval.quantile(days, 0.99), interval.quantile(days, 0.9))
    rising = np.array([interval.quantile(days, p) for p in np.linspace(0.001, 0.999, 50)])
    assert (np.diff(rising, axis=0) >= 0).all()


def test_attention_rows_sum_to_one(network, model):
    from xaq.stations import schema

    observations = schema.observations(network.aq.visible, "pm25")
    attention = model.attention(observations, network.time.values[48])
    assert attention.shape == (observations.values.shape[0], 1, 7)
    np.testing.assert_allclose(attention.sum(axis=-1), 1.0, rtol=1e-5)


def test_a_model_without_temporal_module_has_no_attention_and_says_how_to_get_one(network):
    from xaq.stations import schema

    model = network.aq.train("pm25", max_epochs=0, progress=False)
    observations = schema.observations(network.aq.visible, "pm25")
    with pytest.raises(ModelError, match="no temporal module") as caught:
        model.attention(observations, network.time.values[48])
    advice = str(caught.value).split("fix: ")[1].split(";")[0]
    names = {"dataclasses": dataclasses, "xaq": xaq}
    exec(advice, names)
    again = network.aq.train("pm25", config=names["config"], max_epochs=0, progress=False)
    assert again.attention(observations, network.time.values[72]).shape == (len(observations.values), 1, 7)


VERBS = {
    "reanalyze": lambda ds, model: ds.aq.reanalyze(model, grid=0.5),
    "estimate": lambda ds, model: ds.aq.estimate(model, lon=ds.lon[:2], lat=ds.lat[:2]),
    "verify": lambda ds, model: ds.aq.verify(model, baselines=["idw"]),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_network_without_a_station_of_training_is_said_once(network, model, verb):
    other = network.assign_coords(lon=network.lon + 30)
    with pytest.warns(
        XaqWarning, match=r"0 of 13 stand where one of its 13 did.*fix: model = ds\.aq\.train\('pm25'\)$"
    ) as caught:
        verb(other, model)
    assert len(caught) == 1


def test_a_country_that_holds_the_city_of_training_is_another_network(network, model):
    many = xr.concat(
        [
            network,
            *(
                network.assign_coords(lon=network.lon + 2 * i, station=[f"{s}-{i}" for s in network.station.values])
                for i in range(1, 12)
            ),
        ],
        "station",
    )
    with pytest.warns(XaqWarning, match="13 of 156 stand where one of its 13 did"):
        many.aq.reanalyze(model, grid=0.5)


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.isel(time=slice(24, 96)),
        lambda ds: ds.assign_coords(station=[f"x{s}" for s in ds.station.values]),
        lambda ds: ds.assign_coords(lon=ds.lon.round(2), lat=ds.lat.round(2)),
        lambda ds: ds.assign_coords(lon=ds.lon.where(ds.station.isin(ds.station[~ds.hidden][:2]), ds.lon + 5)),
        lambda ds: ds.assign_coords(lon=ds.lon - 360),
    ],
    ids=["part of the period", "other ids", "rounded coordinates", "two of them", "another turn"],
)
def test_a_network_with_a_station_of_training_gives_no_warning(network, model, change, recwarn):
    change(network).aq.reanalyze(model, grid=0.5)
    assert not [w for w in recwarn if "other stations" in str(w.message)]
