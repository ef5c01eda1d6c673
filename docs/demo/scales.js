// Large pictures: the brightness of a small copy, the details of the full size; see
// reddit/inference/two_scales.py, whose names and numbers these are.
import { box, places } from "./resize.js";

const RADIUS = 6, SMOOTHNESS = 0.02, FLOOR = 0.02;

const logLight = (rgba, i) =>
  Math.log((0.299 * rgba[i] + 0.587 * rgba[i + 1] + 0.114 * rgba[i + 2]) / 255 + FLOOR);

/** The log gain as a linear function of the log light at each place of the small copy. */
function gainMap(small, shrunk, wanted) {
  const { rgba, width, height } = small, count = width * height;
  const guide = new Float32Array(count), square = new Float32Array(count);
  const gain = new Float32Array(3 * count), product = new Float32Array(3 * count);
  let least = Infinity, most = -Infinity;
  for (let i = 0; i < count; i++) {
    guide[i] = logLight(rgba, 4 * i);
    square[i] = guide[i] ** 2;
    for (let c = 0; c < 3; c++) {
      const value = Math.log((wanted[c * count + i] + FLOOR) / (shrunk.rgba[4 * i + c] / 255 + FLOOR));
      gain[3 * i + c] = value;
      product[3 * i + c] = guide[i] * value;
      least = Math.min(least, value);
      most = Math.max(most, value);
    }
  }
  const mean = (map, channels) => box(map, width, height, channels, RADIUS);
  const light = mean(guide, 1), variance = mean(square, 1), slope = mean(product, 3), offset = mean(gain, 3);
  for (let i = 0; i < 3 * count; i++) {
    const at = Math.floor(i / 3);
    slope[i] = (slope[i] - light[at] * offset[i]) / (variance[at] - light[at] ** 2 + SMOOTHNESS);
    offset[i] -= slope[i] * light[at];
  }
  return { slope: mean(slope, 3), offset: mean(offset, 3), least, most, width, height };
}

/** Give an enhanced picture (RGBA bytes, overwritten) the brightness and colour of its enhanced small copy. */
export function matchBrightness(picture, detailed, small, shrunk, wanted) {
  const { rgba, width, height } = picture, map = gainMap(small, shrunk, wanted);
  const columns = places(map.width, width), rows = places(map.height, height), line = map.width * 3;
  const below = map.height > 1 ? line : 0, right = map.width > 1 ? 3 : 0;
  const slopes = new Float32Array(line), offsets = new Float32Array(line);
  for (let y = 0; y < height; y++) {
    const [top, share] = rows[y];
    for (let k = 0, at = top * line; k < line; k++, at++) {
      slopes[k] = map.slope[at] + share * (map.slope[at + below] - map.slope[at]);
      offsets[k] = map.offset[at] + share * (map.offset[at + below] - map.offset[at]);
    }
    for (let x = 0; x < width; x++) {
      const i = 4 * (y * width + x), light = logLight(rgba, i), part = columns[x][1];
      for (let c = 0, k = 3 * columns[x][0]; c < 3; c++, k++) {
        const slope = slopes[k] + part * (slopes[k + right] - slopes[k]);
        const offset = offsets[k] + part * (offsets[k + right] - offsets[k]);
        const gain = Math.min(Math.max(slope * light + offset, map.least), map.most);
        detailed[i + c] = 255 * ((detailed[i + c] / 255 + FLOOR) * Math.exp(gain) - FLOOR);
      }
    }
  }
}
