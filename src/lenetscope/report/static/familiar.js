/**
 * Whether the network responds to an image as it does to images of its classes.
 *
 * What `lenetscope.report.familiar.fit` learned is applied here: the distance of two layers' outputs from
 * the nearest class, and the distance above which an image is refused.
 */
import { decodeBytes } from "./colours.js";
import { decodeFloats } from "./network.js";

/** The means of maps (C, H, W) over side x side parts of equal size, as PyTorch's adaptive pooling. */
export function reduced(values, [channels, height, width], side) {
  const out = new Float64Array(channels * side * side);
  const span = (i, length) => [Math.floor((i * length) / side), Math.ceil(((i + 1) * length) / side)];
  for (let i = 0; i < out.length; i++) {
    const [c, row, column] = [Math.floor(i / (side * side)), Math.floor(i / side) % side, i % side];
    const [top, bottom] = span(row, height);
    const [left, right] = span(column, width);
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) out[i] += values[(c * height + y) * width + x];
    out[i] /= (bottom - top) * (right - left);
  }
  return out;
}

function ofLengthOne(values) {
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1;
  return Array.from(values, (value) => value / length);
}

/** What tells familiar images from others: `digits`, `refused` and `images` are for the words. */
export class Familiar {
  /** @param description as in the page's data, see `Familiar.as_dict` */
  constructor(description) {
    Object.assign(this, description);
    const [classes, rows, size] = description.classes.shape;
    const scales = decodeFloats(description.classes.scales);
    const bytes = new Int8Array(decodeBytes(description.classes.rows).buffer);
    this.classes = Array.from({ length: classes }, (_, k) =>
      Array.from({ length: rows }, (_, r) => {
        const start = (k * rows + r) * size;
        return Float32Array.from(bytes.subarray(start, start + size), (v) => v * scales[k * rows + r]);
      }),
    );
  }

  /** The squared distance of a run's activations from the nearest class. */
  distance({ layers }) {
    const vector = this.places.flatMap((place) => {
      const { values, shape } = layers[place];
      return ofLengthOne(shape.length === 3 ? reduced(values, shape, this.side) : values);
    });
    return Math.min(...this.classes.map(([mean, ...across]) => {
      const rest = vector.map((value, i) => value - mean[i]);
      const dot = (row) => row.reduce((sum, value, i) => sum + value * rest[i], 0);
      return across.reduce((left, row) => left - dot(row) ** 2, dot(rest));
    }));
  }

  /** Whether a run is like those of the training images. */
  knows(run) {
    return this.distance(run) <= this.threshold;
  }
}
