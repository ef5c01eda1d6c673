// Runs the network off the page's thread, on the GPU through WebGPU, else on the processor through WebAssembly.
import { enhance } from "./enhance.js";

const VENDOR = new URL("vendor/", import.meta.url).href;
const FORCED = new URLSearchParams(self.location.search).get("backend"); // wasm or webgpu, from the page's address
let session = null; // a promise of {run, backend}

async function onGpu() {
  const adapter = FORCED === "wasm" ? null : await navigator.gpu?.requestAdapter();
  if (!adapter || (isEmulated(adapter.info) && FORCED !== "webgpu")) return null;
  return create("ort.webgpu.min.mjs", "webgpu");
}

/** Whether a GPU is a program, which is slower than WebAssembly. */
const isEmulated = info => info?.isFallbackAdapter || /swiftshader|llvmpipe/i.test(info?.architecture);

async function create(library, backend) {
  const ort = await import(VENDOR + library);
  ort.env.wasm.wasmPaths = VENDOR;
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  const model = await ort.InferenceSession.create(VENDOR + "light-1.onnx",
    { executionProviders: [backend], logSeverityLevel: 3 }); // errors
  const run = async (low, height, width, thumbnail) => {
    const { restored } = await model.run({
      low: new ort.Tensor("float32", low, [1, 3, height, width]),
      thumbnail: new ort.Tensor("float32", thumbnail, [1, 3, 64, 64]),
    });
    const values = await restored.getData();
    restored.dispose();
    return values;
  };
  if (backend === "webgpu") await run(new Float32Array(3 * 64 * 64), 64, 64, new Float32Array(3 * 64 * 64));
  return { run, backend };
}

const onProcessor = () => create("ort.wasm.min.mjs", "wasm");

/** The network, loaded once. A GPU that cannot run it is left for the processor. */
function load() {
  session ??= onGpu().catch(() => null).then(found => found ?? onProcessor());
  session.catch(() => (session = null)); // so that the next picture tries again
  return session;
}

self.onmessage = async ({ data }) => {
  const { number, picture } = data;
  try {
    let { run, backend } = await load();
    if (!picture) return self.postMessage({ loaded: backend });
    const progress = share => self.postMessage({ number, progress: share });
    const rgba = await enhance(picture, run, progress).catch(async error => {
      if (backend !== "webgpu") throw error;
      session = onProcessor(); // too little GPU memory, say
      ({ run, backend } = await session);
      return enhance(picture, run, progress);
    });
    self.postMessage({ number, rgba, backend }, [rgba.buffer]);
  } catch (error) {
    self.postMessage({ number, error: String(error?.message ?? error) });
  }
};
