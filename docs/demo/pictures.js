// Arithmetic on pictures: planes (3, height, width) in [0, 1]. The guided filter is that of
// reddit/inference/two_scales.py, with its constants.
const RADIUS = 6, SMOOTHNESS = 0.02, FLOOR = 0.02;
const LUMA = [0.299, 0.587, 0.114];

export function planesOf(rgba, height, width) {
  const size = height * width, planes = new Float32Array(3 * size);
  for (let c = 0; c < 3; c++) for (let k = 0; k < size; k++) planes[c * size + k] = rgba[4 * k + c] / 255;
  return planes;
}

export function rgbaOf(planes, like, height, width) {
  const size = height * width, rgba = new Uint8ClampedArray(like);
  for (let c = 0; c < 3; c++) for (let k = 0; k < size; k++) rgba[4 * k + c] = 255 * planes[c * size + k];
  return rgba;
}

// The mean over areas, in a picture of `rows` × `columns` pixels. A pixel on an edge counts by the part
// inside; with `whole` entirely, as in adaptive pooling.
export function averaged(planes, height, width, rows, columns, whole = false) {
  const across = means(planes, 3 * height, width, 1, columns, whole);
  return means(across, 3, height, columns, rows, whole);
}

export const thumbnail = (planes, height, width) => averaged(planes, height, width, 64, 64, true);

// `lines` of `size` groups of `inner` values → the same of `count` groups.
function means(source, lines, size, inner, count, whole) {
  const out = new Float32Array(lines * count * inner);
  for (let k = 0; k < count; k++) {
    const [start, end] = [k * size / count, (k + 1) * size / count];
    const [first, last] = [Math.floor(start), Math.min(size, Math.ceil(end - 1e-9))];
    for (let place = first; place < last; place++) {
      const inside = Math.min(end, place + 1) - Math.max(start, place);
      const share = whole ? 1 / (last - first) : inside / (end - start);
      for (let line = 0; line < lines; line++) {
        const to = (line * count + k) * inner, from = (line * size + place) * inner;
        for (let i = 0; i < inner; i++) out[to + i] += share * source[from + i];
      }
    }
  }
  return out;
}

// The first pixels of tiles that overlap by at least `overlap`, spread evenly.
export function spans(size, tile, overlap) {
  if (size <= tile) return [0];
  const count = Math.ceil((size - overlap) / (tile - overlap));
  return Array.from({ length: count }, (_, k) => Math.round(k * (size - tile) / (count - 1)));
}

export function cut(planes, height, width, top, left, h, w) {
  const tile = new Float32Array(3 * h * w);
  for (let c = 0; c < 3; c++)
    for (let row = 0; row < h; row++) {
      const start = (c * height + top + row) * width + left;
      tile.set(planes.subarray(start, start + w), (c * h + row) * w);
    }
  return tile;
}

// Add a tile to a weighted sum; its weight rises from its edges inwards over the overlap.
export function add(sum, weight, height, width, tile, top, left, h, w, overlap) {
  const ramp = (place, size, before, behind) => Math.min(
    1, before ? (place + 0.5) / overlap : 1, behind ? (size - place - 0.5) / overlap : 1);
  for (let row = 0; row < h; row++)
    for (let column = 0; column < w; column++) {
      const share = ramp(row, h, top > 0, top + h < height) * ramp(column, w, left > 0, left + w < width);
      const to = (top + row) * width + left + column;
      weight[to] += share;
      for (let c = 0; c < 3; c++) sum[c * height * width + to] += share * tile[(c * h + row) * w + column];
    }
}

// log gain = slope · log light + offset, at each place of the small copy (He and Sun 2015).
export function gainMap(dark, detailed, wanted, h, w) {
  const size = h * w, guide = logLight(dark, size), mean = box(guide, h, w);
  const square = box(guide.map(v => v * v), h, w);
  let lowest = Infinity, highest = -Infinity;
  const channels = [0, 1, 2].map(c => {
    const logGain = new Float32Array(size);
    for (let k = 0; k < size; k++) {
      const value = Math.log((wanted[c * size + k] + FLOOR) / (detailed[c * size + k] + FLOOR));
      logGain[k] = value;
      lowest = Math.min(lowest, value);
      highest = Math.max(highest, value);
    }
    const meanGain = box(logGain, h, w), both = box(logGain.map((v, k) => v * guide[k]), h, w);
    const slope = both.map((v, k) => (v - mean[k] * meanGain[k]) / (square[k] - mean[k] ** 2 + SMOOTHNESS));
    const offset = meanGain.map((v, k) => v - slope[k] * mean[k]);
    return [box(slope, h, w), box(offset, h, w)];
  });
  return { channels, lowest, highest, h, w };
}

// Give the enhanced picture the brightness and colour of its small copy.
export function applied(gains, detailed, dark, height, width) {
  const size = height * width, out = new Float32Array(3 * size), { h, w } = gains;
  const place = (k, from, to) => {
    const at = Math.min(Math.max((k + 0.5) * from / to - 0.5, 0), from - 1), first = Math.min(Math.floor(at), from - 2);
    return [Math.max(first, 0), Math.max(first, 0) + (from > 1 ? 1 : 0), at - Math.max(first, 0)];
  };
  const columns = Array.from({ length: width }, (_, k) => place(k, w, width));
  const light = logLight(dark, size);
  for (let row = 0; row < height; row++) {
    const [above, below, down] = place(row, h, height);
    for (let column = 0; column < width; column++) {
      const [left, right, aside] = columns[column], k = row * width + column;
      const at = image => (1 - down) * ((1 - aside) * image[above * w + left] + aside * image[above * w + right])
        + down * ((1 - aside) * image[below * w + left] + aside * image[below * w + right]);
      gains.channels.forEach(([slope, offset], c) => {
        const gain = Math.min(Math.max(at(slope) * light[k] + at(offset), gains.lowest), gains.highest);
        out[c * size + k] = Math.min(Math.max((detailed[c * size + k] + FLOOR) * Math.exp(gain) - FLOOR, 0), 1);
      });
    }
  }
  return out;
}

function logLight(planes, size) {
  const light = new Float32Array(size);
  for (let k = 0; k < size; k++)
    light[k] = Math.log(LUMA[0] * planes[k] + LUMA[1] * planes[size + k] + LUMA[2] * planes[2 * size + k] + FLOOR);
  return light;
}

// The mean over windows of 2 · RADIUS + 1; beyond the border the picture is mirrored without its edge.
function box(image, h, w) {
  const mirrored = (k, size) => {
    if (size === 1) return 0;
    const period = 2 * size - 2, at = ((k % period) + period) % period;
    return at < size ? at : period - at;
  };
  const pass = (source, lines, size, step, jump) => {
    const out = new Float32Array(source.length);
    for (let line = 0; line < lines; line++) {
      let sum = 0;
      for (let k = -RADIUS; k <= RADIUS; k++) sum += source[line * jump + mirrored(k, size) * step];
      for (let k = 0; k < size; k++) {
        out[line * jump + k * step] = sum / (2 * RADIUS + 1);
        sum += source[line * jump + mirrored(k + RADIUS + 1, size) * step]
          - source[line * jump + mirrored(k - RADIUS, size) * step];
      }
    }
    return out;
  };
  return pass(pass(image, h, w, 1, w), w, h, w, 1);
}
