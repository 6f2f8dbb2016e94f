// Print what zarrita reads of an array over HTTP: node zarrita.mjs MODULE URL ARRAY STEP ROW
const [, , module, url, name, step, row] = process.argv;
const zarr = await import(module);
let requests = 0;
const get = globalThis.fetch;
const ranges = [];
globalThis.fetch = (request, options) => {
  requests += 1;
  const headers = new Headers(request.headers ?? options?.headers);
  if (headers.get("range")) ranges.push(headers.get("range"));
  return get(request, options);
};
const root = zarr.root(new zarr.FetchStore(url));
const array = await zarr.open(root.resolve(name), { kind: "array" });
const times = await zarr.get(await zarr.open(root.resolve(name.replace(/[^/]*$/, "time")), { kind: "array" }));
const line = await zarr.get(array, [Number(step), Number(row), null]);
console.log(
  JSON.stringify({
    shape: array.shape,
    units: array.attrs.units,
    // JSON has no NaN.
    values: Array.from(line.data, (x) => (Number.isNaN(x) ? null : x)),
    times: Array.from(times.data, Number),
    ranges,
    requests,
  }),
);
