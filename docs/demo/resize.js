// Averaging pictures down, and blurring and enlarging maps. Maps are interleaved: (height, width, channels).

/** Which source cells make up each of `size` cells, with their shares. */
function shares(length, size) {
  const scale = length / size;
  return Array.from({ length: size }, (_, k) => {
    const from = k * scale, to = Math.min((k + 1) * scale, length);
    const first = Math.floor(from + 1e-9), end = Math.min(Math.ceil(to - 1e-9), length);
    const parts = Array.from({ length: end - first }, (_, i) =>
      (Math.min(first + i + 1, to) - Math.max(first + i, from)) / (to - from));
    return [first, parts];
  });
}

/** As adaptive average pooling has them: whole cells, each with the same share. */
function cells(length, size) {
  return Array.from({ length: size }, (_, k) => {
    const first = Math.floor((k * length) / size), end = Math.ceil(((k + 1) * length) / size);
    return [first, new Array(end - first).fill(1 / (end - first))];
  });
}

/** RGBA bytes averaged to (h, w, 3), in 0 to 255. */
function averaged(rgba, width, down, across) {
  const w = across.length, result = new Float32Array(down.length * w * 3), row = new Float32Array(width * 3);
  down.forEach(([top, parts], y) => {
    row.fill(0);
    parts.forEach((share, i) => {
      let from = (top + i) * width * 4;
      for (let x = 0; x < width * 3; from += 4)
        for (let c = 0; c < 3; c++) row[x++] += share * rgba[from + c];
    });
    across.forEach(([left, shares], x) =>
      shares.forEach((share, i) => {
        for (let c = 0; c < 3; c++) result[(y * w + x) * 3 + c] += share * row[(left + i) * 3 + c];
      }));
  });
  return result;
}

/** A small copy of a picture, its longer side `longest`: RGBA bytes. */
export function shrink({ rgba, width, height }, longest) {
  const scale = longest / Math.max(width, height);
  const w = Math.max(1, Math.round(width * scale)), h = Math.max(1, Math.round(height * scale));
  const values = averaged(rgba, width, shares(height, h), shares(width, w));
  const small = new Uint8ClampedArray(w * h * 4).fill(255); // rounds what it is given
  for (let i = 0; i < w * h; i++) for (let c = 0; c < 3; c++) small[4 * i + c] = values[3 * i + c];
  return { rgba: small, width: w, height: h };
}

/** The thumbnail that the network takes: planes (3, side, side) in [0, 1]. */
export function thumbnail({ rgba, width, height }, side) {
  const values = averaged(rgba, width, cells(height, side), cells(width, side));
  return Float32Array.from(values, (_, i) => values[(i % (side * side)) * 3 + Math.floor(i / (side * side))] / 255);
}

/** The mean of each window of 2 radius + 1 pixels a side; pictures are reflected at the border. */
export function box(map, width, height, channels, radius) {
  const along = (from, length, step, lines, lineStep) => {
    const to = new Float32Array(from.length);
    const at = k => {
      if (length === 1) return 0;
      const period = 2 * (length - 1), place = ((k % period) + period) % period;
      return Math.min(place, period - place) * step;
    };
    for (let line = 0; line < lines; line++)
      for (let c = 0; c < channels; c++) {
        const start = line * lineStep + c;
        let sum = 0;
        for (let k = -radius; k <= radius; k++) sum += from[start + at(k)];
        for (let k = 0; k < length; k++) {
          to[start + k * step] = sum / (2 * radius + 1);
          sum += from[start + at(k + radius + 1)] - from[start + at(k - radius)];
        }
      }
    return to;
  };
  const rows = along(map, width, channels, height, width * channels);
  return along(rows, height, width * channels, width, channels);
}

/** Where the pixels of an enlarged axis lie: [lower neighbour, share of the upper one]. */
export function places(length, size) {
  return Array.from({ length: size }, (_, k) => {
    const place = Math.min(Math.max(((k + 0.5) * length) / size - 0.5, 0), length - 1);
    const lower = Math.min(Math.floor(place), Math.max(length - 2, 0));
    return [lower, place - lower];
  });
}
