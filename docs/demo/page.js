// The page: takes a photograph, asks the worker for the bright one, shows both.
const LARGEST = 24e6; // pixels; a phone's canvas holds no more
const [drop, file, status, progress, result, view, after, before, divider, strength, percent, save, another] =
  ["drop", "file", "status", "progress", "result", "view", "after", "before", "divider", "strength", "percent",
    "save", "another"].map(id => document.getElementById(id));
const worker = new Worker("worker.js", { type: "module" });
let shown = null; // {name, low, restored}: both RGBA of the same size

worker.onmessage = ({ data }) => {
  if (data.error) return say(`This did not work: ${data.error}`);
  if (data.restored) return show(data.restored, data.seconds, data.provider);
  progress.value = data.done;
  status.textContent = data.done ? "Brightening …" : "Loading the model …";
};

function say(text) {
  status.textContent = text;
  progress.hidden = true;
  drop.hidden = false;
}

async function open(photo) {
  let picture;
  try {
    picture = await createImageBitmap(photo, { imageOrientation: "from-image" });
  } catch {
    return say(`${photo.name || "This file"} cannot be read as a picture. JPEG, PNG and WebP can.`);
  }
  const scale = Math.min(1, Math.sqrt(LARGEST / (picture.width * picture.height)));
  const [width, height] = [picture.width, picture.height].map(side => Math.max(1, Math.round(side * scale)));
  for (const canvas of [before, after]) [canvas.width, canvas.height] = [width, height];
  const context = before.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0, width, height);
  const low = context.getImageData(0, 0, width, height);
  shown = { name: (photo.name || "photograph").replace(/\.[^.]*$/, ""), low, restored: null };
  drop.hidden = result.hidden = true;
  progress.hidden = false;
  progress.value = 0;
  status.textContent = scale < 1 ? "A very large photograph: it is made smaller." : "Loading the model …";
  worker.postMessage({ rgba: low.data.slice(), width, height });
}

function show(restored, seconds, provider) {
  shown.restored = restored;
  progress.hidden = true;
  result.hidden = false;
  const { width, height } = shown.low;
  status.textContent = `${width} × ${height} pixels in ${seconds.toFixed(1)} s (${provider})`;
  blend();
}

function blend() {
  const { low, restored } = shown;
  const share = strength.value / 100;
  const mixed = new ImageData(low.width, low.height);
  for (let k = 0; k < low.data.length; k++) mixed.data[k] = low.data[k] + share * (restored[k] - low.data[k]);
  after.getContext("2d").putImageData(mixed, 0, 0);
  percent.textContent = `${strength.value} %`;
}

file.onchange = () => file.files[0] && open(file.files[0]);
addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", event => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});
addEventListener("paste", event => event.clipboardData.files[0] && open(event.clipboardData.files[0]));
drop.onkeydown = event => ["Enter", " "].includes(event.key) && file.click();
divider.oninput = () => view.style.setProperty("--at", `${divider.value}%`);
strength.oninput = () => shown && blend();
another.onclick = () => { file.value = ""; file.click(); };
save.onclick = () => after.toBlob(blob => {
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(blob), download: `${shown.name}_bright.jpg`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}, "image/jpeg", 0.95);
