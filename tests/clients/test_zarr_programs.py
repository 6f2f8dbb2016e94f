"""Other programs on the stores themselves: TensorStore, zarrita over HTTP ranges, GDAL on Zarr 2."""

import json
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import run

import xaq

pytestmark = pytest.mark.clients
#: Where ``make clients`` installs zarrita.
ZARRITA = Path(sys.prefix) / "node" / "node_modules" / "zarrita" / "dist" / "src" / "index.js"


def test_tensorstore_reads_every_value(case):
    tensorstore = pytest.importorskip("tensorstore", reason="pip install tensorstore")
    cube, store, _ = case
    driver = "zarr3" if (store / "zarr.json").exists() else "zarr"
    for name in ("pm25", "supported", "lat"):
        spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{store / name}/"}}
        np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), cube[name].values)


class Ranges(SimpleHTTPRequestHandler):
    """Files in byte ranges, as an object store serves them."""

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        asked = re.fullmatch(r"bytes=(?:(\d+)-(\d+)?|-(\d+))", self.headers.get("Range", ""))
        if not path.is_file() or not asked:
            super().do_GET()
            return
        content = path.read_bytes()
        start = int(asked[1]) if asked[1] else max(0, len(content) - int(asked[3]))
        stop = min(int(asked[2]) + 1 if asked[2] else len(content), len(content))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(content[start:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Return a function that serves a folder and returns its address."""
    servers = []

    def start(folder: Path) -> str:
        def handler(*arguments):
            return Ranges(*arguments, directory=str(folder))

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()


def zarrita(url: str, name: str, step: int, row: int) -> dict:
    if not ZARRITA.exists():
        pytest.skip("zarrita is not installed")
    return json.loads(run("node", Path(__file__).with_name("zarrita.mjs"), ZARRITA, url, name, step, row))


def test_zarrita_reads_values_times_and_what_is_missing_over_http(case, serve):
    cube, store, _ = case
    url = serve(store.parent)
    read = zarrita(f"{url}/{store.name}", "pm25", 2, 2)
    assert read["shape"] == list(cube.pm25.shape)
    assert read["units"] == "ug m-3"
    np.testing.assert_array_equal(np.array(read["values"], "f4"), cube.pm25[2, 2].values)
    np.testing.assert_array_equal(np.array(read["times"]).astype("M8[s]"), cube.time.values.astype("M8[s]"))
    missing = np.flatnonzero(cube.pm25.isnull().all(("lat", "lon")))
    # Forecasts have a value at every step.
    assert missing.size or "forecast_period" in cube.coords
    for step in missing:
        assert set(zarrita(f"{url}/{store.name}", "pm25", step, 2)["values"]) == {None}


def test_zarrita_reads_a_tile_of_a_pyramid_by_ranges(cubes, serve, tmp_path):
    cube = cubes["daily"][0].interp(lat=np.arange(48.25, 50.8, 0.005), lon=np.arange(8.25, 10.2, 0.005))
    tree = xaq.to_pyramid(cube.drop_vars(["lat_bnds", "lon_bnds"]).transpose(..., "lat", "lon"), tmp_path / "p.zarr")
    read = zarrita(f"{serve(tmp_path)}/p.zarr", "1/pm25", 2, 40)
    np.testing.assert_array_equal(np.array(read["values"], "f4"), tree["1"].pm25[2, 40].values)
    # Chunks are read out of a shard of all days, not the shard.
    assert read["ranges"]


def test_gdal_reads_zarr_2_and_nan_where_values_are_missing(cubes, tmp_path):
    cube, store, _ = cubes["hourly Zarr 2"]
    (silent,) = np.flatnonzero(cube.pm25.isnull().all(("lat", "lon")))
    for step in (2, silent):
        table = tmp_path / f"{step}.xyz"
        run("gdal_translate", "-q", "-of", "XYZ", f'ZARR:"{store}":/pm25:{step}', table)
        lon, lat, values = np.loadtxt(table).T.reshape(3, *cube.pm25.shape[1:])
        np.testing.assert_allclose(values, cube.pm25[step], rtol=1e-6)
        np.testing.assert_allclose(lon[0], cube.lon)
        np.testing.assert_allclose(lat[:, 0], cube.lat)


def test_gdal_before_3_13_refuses_shards(cubes):
    version = re.search(r"GDAL (\d+)\.(\d+)", run("gdalinfo", "--version"))
    if (int(version[1]), int(version[2])) >= (3, 13):
        pytest.skip("GDAL reads shards from 3.13")
    refused = subprocess.run(
        [shutil.which("gdalinfo"), f'ZARR:"{cubes["hourly"][1]}":/pm25:0'], capture_output=True, check=False
    )
    assert refused.returncode != 0
