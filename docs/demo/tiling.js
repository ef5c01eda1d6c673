// Tiles of a picture: positions and blending weights, as in reddit/inference/tiling.py.

const roundedUp = (value, multiple) => Math.ceil(value / multiple) * multiple;

/** The sides [height, width] of the tiles of at most `pixels` that cover a picture with the least overlap. */
export function fitted(height, width, overlap, multiple, pixels) {
  const sides = length => {
    const most = 1 + Math.floor((4 * length) / Math.sqrt(pixels));
    return Array.from({ length: most }, (_, k) => {
      const side = overlap + Math.ceil((length - overlap) / (k + 1));
      return [k + 1, Math.max(roundedUp(side, multiple), 2 * overlap)];
    });
  };
  let best = [Infinity];
  for (const [rows, side] of sides(height))
    for (const [columns, broad] of sides(width)) {
      const work = rows * columns * side * broad;
      if (side * broad <= pixels && work < best[0]) best = [work, side, broad];
    }
  return best.slice(1);
}

/** The tiles along an axis: [start, end) evenly spaced, each start at a multiple of the network's grid. */
export function spans(length, size, overlap, multiple) {
  if (length <= size) return [[0, length]];
  const count = Math.ceil((length - overlap) / (size - overlap));
  const start = k => Math.floor(Math.floor(((length - size) * k) / (count - 1)) / multiple) * multiple;
  return Array.from({ length: count }, (_, k) => [start(k), k < count - 1 ? start(k) + size : length]);
}

/** The blending weights of each tile along an axis; they sum to 1 everywhere. */
export function weights(tiles, overlap) {
  const ramp = (place, middle) => Math.min(Math.max((place - middle) / (overlap / 2) + 0.5, 0), 1);
  const middle = k => (tiles[k][1] + tiles[k + 1][0]) / 2;
  return tiles.map(([start, end], k) =>
    Float32Array.from({ length: end - start }, (_, i) => {
      const place = start + i + 0.5;
      const into = k > 0 ? ramp(place, middle(k - 1)) : 1;
      return k < tiles.length - 1 ? into - ramp(place, middle(k)) : into;
    }));
}
