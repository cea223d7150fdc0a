/**
 * The forward pass of a chain of layers, in plain JavaScript.
 *
 * It runs what `lenetscope.report.network.describe` wrote. Values are in PyTorch's order: channel by
 * channel, row by row. Sums are computed in double precision and stored in single, as close to PyTorch
 * as its own kernels are to each other.
 */

/** Decode base64 of little-endian float32, on any machine. */
export function decodeFloats(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return new Float32Array(bytes.buffer);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** Probabilities from logits. */
export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}

/** A chain of layers with its weights. */
export class Network {
  /** @param description as in the page's data: inputShape, layers, weights (and mean, std, classes) */
  constructor(description) {
    this.weights = decodeFloats(description.weights);
    this.inputShape = description.inputShape; // [C, H, W]
    const logits = description.layers.at(-1).shape;
    this.layers = [...description.layers, { name: "softmax", kind: "Softmax", shape: logits }];
    this.mean = description.mean ?? [];
    this.std = description.std ?? [];
    this.classes = description.classes ?? [];
  }

  /** From pixels 0 to 255, (C, H, W) in one array, to the input of the first layer. */
  preprocess(pixels) {
    const area = this.inputShape[1] * this.inputShape[2];
    return Float32Array.from(pixels, (pixel, i) => {
      const channel = Math.floor(i / area);
      return (Math.fround(pixel / 255) - (this.mean[channel] ?? 0)) / (this.std[channel] ?? 1);
    });
  }

  /**
   * Run one preprocessed image; the last layer is the softmax that gives the probabilities.
   * @returns {{input, layers: {name, kind, shape, values: Float32Array}[], logits, probabilities}}
   */
  run(image) {
    let shape = this.inputShape;
    let values = image;
    const layers = [];
    for (const layer of this.layers) {
      values = RUN[layer.kind](values, shape, layer, this.weights);
      shape = layer.shape;
      layers.push({ name: layer.name, kind: layer.kind, shape, values });
    }
    return { input: image, layers, logits: layers.at(-2).values, probabilities: values };
  }

  /** From pixels 0 to 255 to the probability of each class. */
  predict(pixels) {
    return Array.from(this.run(this.preprocess(pixels)).probabilities);
  }
}

/** The outputs o for which o * stride + offset lies within [0, size): first and one past the last. */
function inside(offset, stride, size, outputs) {
  const first = Math.max(0, Math.ceil(-offset / stride));
  const end = Math.min(outputs, Math.floor((size - 1 - offset) / stride) + 1);
  return [first, Math.max(first, end)];
}

/** Call `visit(input index, output index)` for each pair that one place of a kernel joins. */
function slide(layer, [, height, width], ky, kx, visit) {
  const [, rows, columns] = layer.shape;
  const dy = ky * layer.dilation[0] - layer.padding[0];
  const dx = kx * layer.dilation[1] - layer.padding[1];
  const [sy, sx] = layer.stride;
  const [top, bottom] = inside(dy, sy, height, rows);
  const [left, right] = inside(dx, sx, width, columns);
  for (let y = top; y < bottom; y++) {
    const input = (y * sy + dy) * width + dx;
    for (let x = left; x < right; x++) visit(input + x * sx, y * columns + x);
  }
}

function convolve(values, shape, layer, weights) {
  const [channels, height, width] = shape;
  const [filters, rows, columns] = layer.shape;
  const [kh, kw] = layer.kernel;
  const [sy, sx] = layer.stride;
  const perGroup = channels / layer.groups;
  const filtersPerGroup = filters / layer.groups;
  const out = new Float32Array(filters * rows * columns);
  const sums = new Float64Array(rows * columns);
  for (let f = 0; f < filters; f++) {
    sums.fill(layer.bias === null ? 0 : weights[layer.bias + f]);
    const firstChannel = Math.floor(f / filtersPerGroup) * perGroup;
    for (let c = 0; c < perGroup; c++) {
      const plane = (firstChannel + c) * height * width;
      for (let ky = 0; ky < kh; ky++) {
        const dy = ky * layer.dilation[0] - layer.padding[0];
        const [top, bottom] = inside(dy, sy, height, rows);
        for (let kx = 0; kx < kw; kx++) {
          const weight = weights[layer.weight + ((f * perGroup + c) * kh + ky) * kw + kx];
          const dx = kx * layer.dilation[1] - layer.padding[1];
          const [left, right] = inside(dx, sx, width, columns);
          for (let y = top; y < bottom; y++) {
            const from = plane + (y * sy + dy) * width + dx;
            const to = y * columns;
            for (let x = left; x < right; x++) sums[to + x] += weight * values[from + x * sx];
          }
        }
      }
    }
    out.set(sums, f * rows * columns);
  }
  return out;
}

function poolMax(values, shape, layer) {
  const [channels, height, width] = shape;
  const area = layer.shape[1] * layer.shape[2];
  const out = new Float32Array(channels * area).fill(-Infinity);
  for (let c = 0; c < channels; c++)
    for (let ky = 0; ky < layer.kernel[0]; ky++)
      for (let kx = 0; kx < layer.kernel[1]; kx++)
        slide(layer, shape, ky, kx, (from, to) => {
          const value = values[c * height * width + from];
          if (value > out[c * area + to] || Number.isNaN(value)) out[c * area + to] = value;
        });
  return out;
}

function poolMean(values, shape, layer) {
  const [channels, height, width] = shape;
  const [, rows, columns] = layer.shape;
  const area = rows * columns;
  const sums = new Float64Array(channels * area);
  const counts = new Float64Array(area);
  for (let ky = 0; ky < layer.kernel[0]; ky++)
    for (let kx = 0; kx < layer.kernel[1]; kx++)
      slide(layer, shape, ky, kx, (from, to) => {
        counts[to] += 1;
        for (let c = 0; c < channels; c++) sums[c * area + to] += values[c * height * width + from];
      });
  const whole = layer.kernel[0] * layer.kernel[1];
  const divisor = (i) => layer.divisor ?? (layer.countPadding ? whole : counts[i]);
  return Float32Array.from(sums, (sum, i) => sum / divisor(i % area));
}

function linear(values, shape, layer, weights) {
  const inputs = values.length;
  return Float32Array.from({ length: layer.shape[0] }, (_, k) => {
    let sum = layer.bias === null ? 0 : weights[layer.bias + k];
    const row = layer.weight + k * inputs;
    for (let i = 0; i < inputs; i++) sum += weights[row + i] * values[i];
    return sum;
  });
}

function normalize(values, shape, layer, weights) {
  const area = values.length / shape[0];
  return values.map((value, i) => {
    const channel = Math.floor(i / area);
    return value * weights[layer.weight + channel] + weights[layer.bias + channel];
  });
}

const unchanged = (values) => values;

const RUN = {
  Conv2d: convolve,
  MaxPool2d: poolMax,
  AvgPool2d: poolMean,
  BatchNorm2d: normalize,
  Linear: linear,
  Flatten: unchanged,
  Dropout: unchanged, // drops units in training only
  Identity: unchanged,
  ReLU: (values) => values.map((value) => (value < 0 ? 0 : value)),
  Tanh: (values) => values.map(Math.tanh),
  Sigmoid: (values) => values.map((value) => 1 / (1 + Math.exp(-value))),
  Softmax: (values) => Float32Array.from(softmax(values)),
};
