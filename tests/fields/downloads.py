"""Files of gridded fields in the layouts in which data stores write them, made small, and what is true of them.

Values are linear in time, latitude and longitude, so that interpolation reproduces them anywhere.
"""

from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import xarray as xr

DAY = np.datetime64("2020-01-01T00", "s")
HOUR = np.timedelta64(3600, "s")
LAT, LON = np.arange(52.0, 47.9, -0.5), np.arange(8.0, 12.01, 0.5)
HOURS = np.arange(24)


@dataclass(frozen=True)
class Download:
    """A file, the variable in it, and that variable in xaq's name, units and first time."""

    path: Path
    variable: str
    name: str
    units: str
    first: np.datetime64 = DAY


def truth(hours, lat, lon):
    """Return values in the units of :class:`Download`, hours after the beginning of the day."""
    return 5.0 + np.asarray(hours) + 0.5 * np.asarray(lat) + 0.25 * np.asarray(lon)


def values(hours=HOURS, lat=LAT, lon=LON):
    """Return ``(hour, lat, lon)``."""
    lon = (np.asarray(lon) + 180) % 360 - 180
    return truth(np.asarray(hours)[:, None, None], lat[:, None], lon)


def packed(array, scale):
    """Return the encoding in 16-bit integers that grib_to_netcdf writes."""
    middle = float(array.min() + array.max()) / 2
    return {"dtype": "i2", "scale_factor": scale, "add_offset": middle, "_FillValue": -32767}


def era5_cds(folder, name="era5.nc", versions=("0001",) * 24, variables=("t2m",), step="instant"):
    """ERA5 of the data store since 2024: valid_time, number, and expver along time."""
    attrs = {"units": "K", "GRIB_stepType": step, "GRIB_paramId": 167, "long_name": "2 metre temperature"}
    times = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "i8"}
    dims = ("valid_time", "latitude", "longitude")
    ds = xr.Dataset(
        {n: (dims, values().astype("f4"), attrs) for n in variables},
        {
            "valid_time": ("valid_time", DAY + HOURS * HOUR, {"standard_name": "time", "long_name": "time"}),
            "latitude": ("latitude", LAT, {"units": "degrees_north", "standard_name": "latitude"}),
            "longitude": ("longitude", LON, {"units": "degrees_east", "standard_name": "longitude"}),
            "number": ((), 0, {"standard_name": "realization", "units": "1"}),
            "expver": ("valid_time", list(versions)),
        },
        {"GRIB_centre": "ecmf", "Conventions": "CF-1.7", "history": "2024-09-20 GRIB to CDM+CF via cfgrib"},
    )
    ds.to_netcdf(folder / name, encoding={"valid_time": times, **{n: {"_FillValue": np.nan} for n in variables}})
    return Download(folder / name, variables[0], variables[0], "K")


def era5_expver(folder):
    """ERA5 of the former data store: packed, ERA5 and ERA5T in places of their own along a dimension."""
    both = np.stack([values()] * 2, axis=1)
    both[16:, 0], both[:16, 1] = np.nan, np.nan
    axes = {"time": DAY + HOURS * HOUR, "expver": np.array([1, 5], "i4"), "latitude": LAT, "longitude": LON}
    ds = xr.Dataset({"t2m": (tuple(axes), both, {"units": "K"})}, axes)
    ds.attrs = {"Conventions": "CF-1.6", "history": "2022-01-01 by grib_to_netcdf-2.25.1: grib_to_netcdf -S param"}
    hours = {"units": "hours since 1900-01-01 00:00:00.0", "dtype": "i4"}
    ds.to_netcdf(folder / "old.nc", format="NETCDF3_64BIT", encoding={"time": hours, "t2m": packed(values(), 1e-3)})
    return Download(folder / "old.nc", "t2m", "t2m", "K")


def eac4(folder):
    """CAMS EAC4: packed, longitudes 0 .. 360, kg m-3."""
    axes = {"time": DAY + HOURS[::3] * HOUR, "latitude": LAT, "longitude": np.arange(0.0, 360.0, 0.5)}
    mass = 1e-9 * values(HOURS[::3], lon=axes["longitude"])
    attrs = {"units": "kg m**-3", "long_name": "Particulate matter d < 2.5 um"}
    ds = xr.Dataset({"pm2p5": (tuple(axes), mass, attrs)}, axes)
    hours = {"units": "hours since 1900-01-01 00:00:00.0", "dtype": "i4"}
    ds.to_netcdf(folder / "eac4.nc", encoding={"time": hours, "pm2p5": packed(mass, 1e-11)})
    return Download(folder / "eac4.nc", "pm2p5", "pm25", "ug m-3")


def eac4_gas(folder, *, surface=True):
    """CAMS EAC4 at the lowest model level: a mixing ratio in kg kg-1, with surface pressure and temperature or without."""
    axes = {"time": DAY + HOURS[::3] * HOUR, "level": [60], "latitude": LAT, "longitude": LON}
    shape = tuple(map(len, axes.values()))
    pressure, temperature = np.full(shape, 1e5), np.full(shape, 280.0)
    gas = 1e-9 * values(HOURS[::3])[:, None] / (pressure / (287.05 * temperature))
    ds = xr.Dataset({"no2": (tuple(axes), gas, {"units": "kg kg**-1"})}, axes)
    if surface:
        ds["sp"] = tuple(axes), pressure, {"units": "Pa"}
        ds["t"] = tuple(axes), temperature, {"units": "K"}
    ds.attrs["history"] = "by grib_to_netcdf-2.25.1"
    ds.to_netcdf(folder / "gas.nc")
    return Download(folder / "gas.nc", "no2", "no2", "ug m-3")


def cams_global(folder):
    """CAMS global forecasts: two runs a day apart, whose leads overlap; a later lead is wrong by its hours."""
    starts, leads = DAY + np.array([0, 12]) * HOUR, np.arange(0.0, 25.0, 3.0)
    hours = np.array([0, 12]) + leads[:, None]
    mass = 1e-9 * (truth(hours[..., None, None], LAT[:, None], LON) + 0.125 * leads[:, None, None, None])
    dims = ("forecast_period", "forecast_reference_time", "latitude", "longitude")
    ds = xr.Dataset(
        {"pm2p5": (dims, mass, {"units": "kg m**-3", "GRIB_stepType": "instant"})},
        {
            "forecast_period": ("forecast_period", leads, {"units": "hours", "standard_name": "forecast_period"}),
            "forecast_reference_time": (
                "forecast_reference_time",
                starts,
                {"standard_name": "forecast_reference_time"},
            ),
            "valid_time": (
                ("forecast_reference_time", "forecast_period"),
                DAY + hours.T.astype(int) * HOUR,
                {"standard_name": "time"},
            ),
            "latitude": LAT,
            "longitude": LON,
        },
    )
    ds.to_netcdf(folder / "global.nc")
    return Download(folder / "global.nc", "pm2p5", "pm25", "ug m-3")


def cams_europe(folder, kind="ANALYSIS", day="20200101", hours=HOURS, error=0.0):
    """CAMS Europe: float hours from a date in an attribute, longitudes 335 .. 360, 0 .. 45, a level of one entry."""
    lon = np.arange(-20.0, 20.01, 0.5)
    since = int(pd.Timestamp(day).hour + (pd.Timestamp(day) - pd.Timestamp(DAY)) / pd.Timedelta("1h"))
    made = (values(hours + since, lon=lon) + error * hours[:, None, None])[:, None].astype("f4")
    path = folder / f"{kind}_{day}.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("longitude", len(lon)), ("latitude", len(LAT)), ("level", 1), ("time", len(hours))):
            file.createDimension(name, size)
        for name, numbers, attrs in (
            ("longitude", lon % 360, {"long_name": "longitude", "units": "degrees_east"}),
            ("latitude", LAT, {"long_name": "latitude", "units": "degrees_north"}),
            ("level", [0.0], {"long_name": "level", "units": "m"}),
            ("time", hours, {"long_name": f"{kind} time from {day}", "units": "hours"}),
        ):
            variable = file.createVariable(name, "f4", (name,))
            variable[:] = numbers
            variable.setncatts(attrs)
        pm25 = file.createVariable("pm2p5_conc", "f4", ("time", "level", "latitude", "longitude"), fill_value=-999.0)
        pm25[:] = made
        pm25.setncatts({"species": "PM2.5 Aerosol", "units": "µg/m3", "value": "hourly values"})
        file.setncatts({"title": f"PM25 Air Pollutant {kind} at the Surface", kind: f"Europe, {day}+[0H_23H]"})
    return Download(path, "pm2p5_conc", "pm25", "ug m-3")


def cams_europe_reanalysis(folder):
    """CAMS European reanalysis: hours since a date, longitudes from -25."""
    axes = {"time": DAY + HOURS * HOUR, "lat": LAT[::-1], "lon": LON}
    ds = xr.Dataset({"no2": (tuple(axes), values(lat=LAT[::-1]), {"units": "µg/m3"})}, axes)
    ds.to_netcdf(folder / "reanalysis.nc", encoding={"time": {"units": "hours since 2020-01-01 00:00:00"}})
    return Download(folder / "reanalysis.nc", "no2", "no2", "ug m-3")


def merra2(folder):
    """MERRA-2, hourly means: times are the centres of their hours; components of PM2.5 in kg m-3."""
    axes = {"time": HOURS * 60, "lat": LAT[::-1], "lon": LON}
    mass = 1e-9 * values(lat=LAT[::-1]) / (4.0 + 132.14 / 96.06)
    names = ("DUSMASS25", "OCSMASS", "BCSMASS", "SSSMASS25", "SO4SMASS")
    attrs = {"units": "kg m-3", "missing_value": np.float32(1e15), "fmissing_value": np.float32(1e15)}
    ds = xr.Dataset({n: (tuple(axes), mass.astype("f4"), attrs) for n in names}, axes)
    ds["time"].attrs = {
        "units": "minutes since 2020-01-01 00:30:00", "long_name": "time", "begin_date": np.int32(20200101),
        "begin_time": np.int32(3000), "time_increment": np.int32(10000),
    }  # fmt: skip
    ds.attrs = {"ShortName": "M2T1NXAER", "LongName": "MERRA-2 tavg1_2d_aer_Nx", "RangeBeginningDate": "2020-01-01"}
    ds.to_netcdf(folder / "MERRA2_400.tavg1_2d_aer_Nx.20200101.nc4")
    return Download(folder / "MERRA2_400.tavg1_2d_aer_Nx.20200101.nc4", "pm25", "pm25", "ug m-3")


def level3(folder, name="g4.subsetted.OMNO2d_003_ColumnAmountNO2TropCloudScreened.20200101.nc", **attrs):
    """A level-3 product as Giovanni writes it: no time, one cell without a value."""
    variable = "OMNO2d_003_ColumnAmountNO2TropCloudScreened"
    column = values([0], lat=LAT[::-1])[0].astype("f4")
    column[0, 0] = np.nan
    ds = xr.Dataset({variable: (("lat", "lon"), column, {"units": "1/cm2"})}, {"lat": LAT[::-1], "lon": LON}, attrs)
    ds.to_netcdf(folder / name, encoding={variable: {"_FillValue": np.float32(-1.2676506e30)}})
    return Download(folder / name, variable, variable, "1/cm2")


def hdfeos(folder):
    """A level-3 product of OMI as HDF-EOS 5: groups, no coordinates, no time."""
    path = folder / "OMI-Aura_L3-OMNO2d_2020m0101_v003-2020m0330t173100.he5"
    with netCDF4.Dataset(path, "w") as file:
        grid = file.createGroup("HDFEOS/GRIDS/ColumnAmountNO2")
        grid.setncatts({"GridSpan": "(8,12,48,52)", "GridSpacing": "(0.5,0.5)", "Projection": "Geographic"})
        fields = grid.createGroup("Data Fields")
        fields.createDimension("phony_dim_0", 8)
        fields.createDimension("phony_dim_1", 8)
        column = fields.createVariable(
            "ColumnAmountNO2Trop", "f4", ("phony_dim_0", "phony_dim_1"), fill_value=-1.2676506e30
        )
        column[:] = 2 * values([0], lat=np.arange(48.25, 52, 0.5), lon=np.arange(8.25, 12, 0.5))[0]
        column[0, 0] = -9999.0
        column.setncatts({"Units": "molec/cm2", "MissingValue": np.float32(-9999.0), "ScaleFactor": 0.5, "Offset": 0.0})
        file.createGroup("HDFEOS/ADDITIONAL/FILE_ATTRIBUTES").setncatts({"InstrumentName": "OMI"})
    return Download(path, "ColumnAmountNO2Trop", "ColumnAmountNO2Trop", "molec/cm2")


def cfgrib_object():
    """GRIB as cfgrib opens it: forecasts by start and step, at a height."""
    starts, steps = DAY + np.array([0, 12]) * HOUR, np.arange(12) * HOUR
    hours = np.array([0, 12])[:, None] + np.arange(12)
    dims = ("time", "step", "latitude", "longitude")
    attrs = {"units": "K", "GRIB_typeOfLevel": "heightAboveGround", "GRIB_stepType": "instant"}
    return xr.DataArray(
        truth(hours[..., None, None], LAT[:, None], LON),
        {
            "time": ("time", starts, {"standard_name": "forecast_reference_time"}),
            "step": ("step", steps, {"standard_name": "forecast_period"}),
            "valid_time": (("time", "step"), starts[:, None] + steps, {"standard_name": "time"}),
            "number": 0,
            "heightAboveGround": ((), 2.0, {"units": "m"}),
            "latitude": LAT,
            "longitude": LON,
        },
        dims,
        "t2m",
        attrs,
    )


MAKERS = {
    m.__name__: m
    for m in (era5_cds, era5_expver, eac4, eac4_gas, cams_global, cams_europe, cams_europe_reanalysis, merra2, level3, hdfeos)
}  # fmt: skip
