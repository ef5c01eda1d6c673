// The page: takes a photograph, hands it to the worker, shows and saves the result.
const at = id => document.getElementById(id);
const viewer = at("viewer"), before = at("before"), after = at("after");
const MOST = matchMedia("(pointer: coarse)").matches ? 16e6 : 48e6; // pixels; phones allow no larger canvas
const worker = new Worker("worker.js" + location.search, { type: "module" });
let number = 0, started = 0, name = "", type = "", note = "";

function say(text, { bad = false, progress } = {}) {
  at("message").textContent = text;
  at("message").classList.toggle("bad", bad);
  at("progress").hidden = progress === undefined;
  if (progress) at("progress").value = progress;
  else at("progress").removeAttribute("value"); // not known yet
}

/** Decode a file into the canvas `before`, upright, its colours as they are stored. */
async function read(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const scale = Math.min(1, Math.sqrt(MOST / (bitmap.width * bitmap.height)));
  const [width, height] = [bitmap.width, bitmap.height].map(side => Math.max(1, Math.floor(side * scale)));
  note = scale < 1 ? ` Reduced to ${width}×${height} pixels.` : "";
  for (const canvas of [before, after]) [canvas.width, canvas.height] = [width, height];
  const context = before.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { rgba: context.getImageData(0, 0, width, height).data, width, height };
}

/** Enhance a picture; `left` others came with it. */
async function open(file, left = 0) {
  if (!file) return;
  const mine = ++number; // a picture that came before is no longer waited for
  const shown = viewer.classList.contains("done");
  started = performance.now();
  at("save").disabled = true;
  viewer.classList.remove("done", "failed");
  let picture;
  try {
    picture = await read(file);
  } catch {
    if (mine !== number) return;
    viewer.classList.toggle("done", shown); // the picture before stays
    at("save").disabled = !shown;
    at("start").hidden = shown;
    at("work").hidden = !shown;
    return say(`${file.name || "This"} is not a picture that this browser can read: try a JPEG or a PNG.`, { bad: true });
  }
  if (mine !== number) return;
  if (left) note += ` This is the first of ${left + 1} pictures: the page takes one at a time.`;
  [name, type] = [(file.name || "photograph").replace(/\.[^.]*$/, ""), file.type];
  viewer.style.setProperty("--width", picture.width);
  viewer.style.setProperty("--height", picture.height);
  at("start").hidden = true;
  at("work").hidden = false;
  say("Loading the network …", { progress: 0 });
  worker.postMessage({ number: mine, picture }, [picture.rgba.buffer]);
}

worker.onmessage = ({ data }) => {
  if (data.number !== number) return;
  if (data.error) {
    viewer.classList.add("failed");
    return say(`It did not work: ${data.error}`, { bad: true });
  }
  if ("progress" in data) return say("Brightening …", data);
  after.getContext("2d").putImageData(new ImageData(data.rgba, after.width, after.height), 0, 0);
  viewer.classList.add("done");
  at("save").disabled = false;
  const where = data.backend === "webgpu" ? "on the GPU" : "on the processor";
  const whole = (performance.now() - started) / 1000;
  say(`${after.width}×${after.height} pixels in ${whole.toFixed(1)} s ${where}.${note}`);
  viewer.dataset.seconds = whole;
};
worker.onerror = () => say("The network could not be started in this browser.", { bad: true });

/** The result at the chosen strength, as it is shown. */
function blended() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [after.width, after.height];
  const context = canvas.getContext("2d"), strength = at("strength").value / 100;
  context.globalCompositeOperation = "lighter"; // the sum, also of alpha
  for (const [picture, share] of [[before, 1 - strength], [after, strength]]) {
    context.globalAlpha = share;
    context.drawImage(picture, 0, 0);
  }
  return canvas;
}

function save() {
  const [kind, ending] = type === "image/png" ? [type, "png"] : ["image/jpeg", "jpg"];
  blended().toBlob(blob => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}_enhanced.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }, kind, 0.95);
}

/** Open the first picture of a drop or of the clipboard. */
function take(data) {
  const files = [...(data?.files ?? [])], pictures = files.filter(file => file.type.startsWith("image/"));
  open(pictures[0] ?? files[0], Math.max(0, pictures.length - 1));
}
for (const input of [at("file"), at("other")])
  input.addEventListener("change", () => {
    open(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
addEventListener("dragover", event => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", event => event.relatedTarget ?? document.body.classList.remove("dragging"));
addEventListener("drop", event => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(event.dataTransfer);
});
addEventListener("paste", event => take(event.clipboardData));
at("divider").addEventListener("input", event => viewer.style.setProperty("--at", event.target.value + "%"));
at("divider").addEventListener("keydown", event => { // its own steps are for the mouse
  const by = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2 }[event.key];
  if (!by) return;
  event.preventDefault();
  event.target.value = Number(event.target.value) + by;
  event.target.dispatchEvent(new Event("input"));
});
at("strength").addEventListener("input", event => {
  viewer.style.setProperty("--strength", event.target.value / 100);
  at("percent").textContent = `${event.target.value} %`;
});
at("save").addEventListener("click", save);

async function showExamples() {
  const answer = await fetch("vendor/examples.json");
  if (!answer.ok) return;
  for (const { file, title } of await answer.json()) {
    const button = document.createElement("button"), image = new Image(), label = document.createElement("span");
    button.type = "button";
    image.src = `vendor/${file}`;
    image.alt = "";
    label.textContent = title;
    button.append(image, label);
    button.addEventListener("click", async () => {
      const blob = await (await fetch(image.src)).blob();
      open(new File([blob], file, { type: blob.type }));
      scrollTo({ top: 0, behavior: "smooth" });
    });
    at("examples").querySelector("div").append(button);
  }
  at("examples").hidden = false;
}

/** Get threads for WebAssembly, by one reload through a service worker; without them the page is only slower. */
async function isolate() {
  if (crossOriginIsolated || !("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register("isolate.js");
  await navigator.serviceWorker.ready;
  if (!number && !sessionStorage.getItem("reloaded")) {
    sessionStorage.setItem("reloaded", "yes"); // once, whatever comes of it
    location.reload();
    await new Promise(() => {}); // the rest is for the page that comes
  }
}

await isolate().catch(() => {});
await showExamples();
if (!navigator.connection?.saveData) worker.postMessage({ number: 0 }); // load the network meanwhile
document.body.dataset.ready = "yes";
