// Enhances one photograph as `reddit-llie enhance` does: reddit/inference/{enhancer,tiling,two_scales}.py.
import * as pictures from "./pictures.js";

const WHOLE = 1.5e6; // pixels; larger pictures are processed in tiles
const TILE = 512, OVERLAP = 128;
const SCALE = 640; // longest side of the pictures whose light the network has learnt

let session = null;

async function load() {
  const gpu = navigator.gpu && await navigator.gpu.requestAdapter().catch(() => null);
  for (const provider of gpu ? ["webgpu", "wasm"] : ["wasm"]) {
    try {
      const ort = await import(provider === "webgpu" ? "./vendor/ort.webgpu.min.mjs" : "./vendor/ort.wasm.min.mjs");
      ort.env.wasm.wasmPaths = new URL("vendor/", import.meta.url).href;
      ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
      const model = await ort.InferenceSession.create("vendor/light-1.onnx", { executionProviders: [provider] });
      return { ort, model, provider };
    } catch (error) {
      if (provider === "wasm") throw error;
    }
  }
}

// Enhance planes (3, height, width) in [0, 1]; `thumbnail` is that of the picture they are a part of.
async function restored(planes, height, width, thumbnail) {
  const { ort, model } = session;
  const tensor = (data, h, w) => new ort.Tensor("float32", data, [1, 3, h, w]);
  const feeds = { low: tensor(planes, height, width), noise: tensor(new Float32Array(planes.length), height, width) };
  feeds.thumbnail = tensor(thumbnail, 64, 64);
  return (await model.run(feeds)).restored.data;
}

async function inTiles(planes, height, width, thumbnail, told) {
  if (height * width <= WHOLE) return restored(planes, height, width, thumbnail);
  const sum = new Float32Array(planes.length), weight = new Float32Array(height * width);
  const rows = pictures.spans(height, TILE, OVERLAP), columns = pictures.spans(width, TILE, OVERLAP);
  for (const [index, top] of rows.entries()) {
    for (const left of columns) {
      const h = Math.min(TILE, height), w = Math.min(TILE, width);
      const tile = await restored(pictures.cut(planes, height, width, top, left, h, w), h, w, thumbnail);
      pictures.add(sum, weight, height, width, tile, top, left, h, w, OVERLAP);
    }
    told((index + 1) / rows.length);
  }
  for (let k = 0; k < sum.length; k++) sum[k] /= weight[k % (height * width)];
  return sum;
}

onmessage = async ({ data: { rgba, width, height } }) => {
  try {
    postMessage({ done: 0 });
    session ??= await load();
    const start = performance.now();
    const told = done => postMessage({ done: Math.max(0.02, 0.9 * done) });
    told(0);
    const low = pictures.planesOf(rgba, height, width);
    let bright = await inTiles(low, height, width, pictures.thumbnail(low, height, width), told);
    const longest = Math.max(height, width);
    if (longest > SCALE) {
      const [h, w] = [height, width].map(side => Math.max(1, Math.round(side * SCALE / longest)));
      const small = pictures.averaged(low, height, width, h, w);
      const wanted = await restored(small, h, w, pictures.thumbnail(small, h, w));
      const gains = pictures.gainMap(small, pictures.averaged(bright, height, width, h, w), wanted, h, w);
      bright = pictures.applied(gains, bright, low, height, width);
    }
    const out = pictures.rgbaOf(bright, rgba, height, width);
    const seconds = (performance.now() - start) / 1000;
    postMessage({ restored: out, seconds, provider: session.provider }, [out.buffer]);
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
};
