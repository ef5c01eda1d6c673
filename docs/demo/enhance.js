// What `reddit-llie enhance` does to a photograph: tiles, and the brightness of a small copy.
import { shrink, thumbnail } from "./resize.js";
import { matchBrightness } from "./scales.js";
import { fitted, spans, weights } from "./tiling.js";

const SCALE = 640; // longest side of pictures whose light the network has learnt
const OVERLAP = 128, MULTIPLE = 32, THUMBNAIL = 64;
const WHOLE = 700_000, TILE = 500_000; // pixels; less than `enhance` takes, for phones

/**
 * Enhance a picture.
 * @param picture {rgba, width, height}: bytes.
 * @param run (planes, height, width, thumbnail) → a promise of planes (3, height, width) in [0, 1].
 * @param progress called with the share that is done.
 * @returns a promise of RGBA bytes; alpha is kept.
 */
export async function enhance(picture, run, progress) {
  const { width, height } = picture, large = Math.max(width, height) > SCALE;
  const small = large ? shrink(picture, SCALE) : null;
  const extra = large ? (small.width * small.height) : 0;
  const total = width * height + extra;
  const result = await restored(picture, run, share => progress((share * width * height) / total));
  if (large) {
    const wanted = await whole(small, run);
    matchBrightness(picture, result, small, shrink({ rgba: result, width, height }, SCALE), wanted);
  }
  progress(1);
  return result;
}

const whole = (picture, run) =>
  run(planes(picture, [0, picture.height], [0, picture.width]), picture.height, picture.width,
    thumbnail(picture, THUMBNAIL));

async function restored(picture, run, progress) {
  const { rgba, width, height } = picture, result = new Uint8ClampedArray(rgba);
  const single = width * height <= WHOLE;
  const [side, broad] = single ? [height, width] : fitted(height, width, OVERLAP, MULTIPLE, TILE);
  const down = spans(height, side, OVERLAP, MULTIPLE), across = spans(width, broad, OVERLAP, MULTIPLE);
  const vertical = weights(down, OVERLAP), horizontal = weights(across, OVERLAP);
  const context = thumbnail(picture, THUMBNAIL);
  let pending = new Float32Array(0), done = 0; // rows that the next band of tiles also covers
  for (let j = 0; j < down.length; j++) {
    const [top, bottom] = down[j], next = j + 1 < down.length ? down[j + 1][0] : height;
    const band = new Float32Array((bottom - top) * width * 3);
    band.set(pending);
    for (let i = 0; i < across.length; i++) {
      const tile = await run(planes(picture, down[j], across[i]), bottom - top,
        across[i][1] - across[i][0], context);
      add(tile, band, width, across[i][0], vertical[j], horizontal[i]);
      progress(++done / (down.length * across.length));
    }
    for (let k = 0, to = top * width * 4; k < (next - top) * width * 3; to += 4)
      for (let c = 0; c < 3; c++) result[to + c] = 255 * band[k++];
    pending = band.subarray((next - top) * width * 3);
  }
  return result;
}

/** A part of a picture as planes (3, height, width) in [0, 1]. */
function planes({ rgba, width }, [top, bottom], [left, right]) {
  const count = (bottom - top) * (right - left), result = new Float32Array(3 * count);
  for (let y = top, k = 0; y < bottom; y++)
    for (let x = left, i = 4 * (y * width + left); x < right; x++, k++, i += 4)
      for (let c = 0; c < 3; c++) result[c * count + k] = rgba[i + c] / 255;
  return result;
}

/** Add planes to an interleaved band of a picture, each pixel with its weight. */
function add(tile, band, width, left, vertical, horizontal) {
  const rows = vertical.length, columns = horizontal.length;
  for (let y = 0, k = 0; y < rows; y++)
    for (let x = 0; x < columns; x++, k++) {
      const weight = vertical[y] * horizontal[x];
      if (weight)
        for (let c = 0; c < 3; c++) band[3 * (y * width + left + x) + c] += weight * tile[c * rows * columns + k];
    }
}
