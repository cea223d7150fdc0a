/**
 * The operations that a network is made of, in plain JavaScript.
 *
 * Each is given its inputs, {shape, values} each, its settings and the weights of the network, see
 * `lenetscope.report.operations`. Values are in PyTorch's order: channel by channel, row by row. Sums are
 * computed in double precision and stored in single, as close to PyTorch as its own kernels are to each other.
 */

/** Probabilities from logits. */
export function softmax(logits) {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Array.from(logits, (value) => Math.exp(value - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
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

function convolve([{ shape, values }], layer, weights) {
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

function poolMax([{ shape, values }], layer) {
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

function poolMean([{ shape, values }], layer) {
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

function linear([{ shape, values }], layer, weights) {
  const [inputs, outputs] = [shape.at(-1), layer.shape.at(-1)];
  const out = new Float32Array((values.length / inputs) * outputs);
  return out.map((_, place) => {
    const [start, k] = [Math.floor(place / outputs) * inputs, place % outputs];
    let sum = layer.bias === null ? 0 : weights[layer.bias + k];
    const row = layer.weight + k * inputs;
    for (let i = 0; i < inputs; i++) sum += weights[row + i] * values[start + i];
    return sum;
  });
}

function normalize([{ shape, values }], layer, weights) {
  const area = values.length / shape[0];
  return values.map((value, i) => {
    const channel = Math.floor(i / area);
    return value * weights[layer.weight + channel] + weights[layer.bias + channel];
  });
}

/** The places that values are moved from; the inputs are counted as one, -1 stands for the filling. */
export function cameFrom(layer, weights) {
  const size = layer.shape.reduce((a, b) => a * b, 1);
  return weights.subarray(layer.from, layer.from + size);
}

function moved(inputs, layer, weights) {
  const all = inputs.length === 1 ? inputs[0].values : inputs.flatMap(({ values }) => Array.from(values));
  return cameFrom(layer, weights).map((from) => (from < 0 ? layer.filling : all[from]));
}

/** The place in an operand that a place of the output takes: an operand of fewer values repeats them. */
export function placeIn(shape, whole, place) {
  let [rest, found, step] = [place, 0, 1];
  for (let i = 1; i <= shape.length; i++) {
    const size = whole[whole.length - i];
    if (shape[shape.length - i] > 1) found += step * (rest % size);
    step *= shape[shape.length - i];
    rest = Math.floor(rest / size);
  }
  return found;
}

/** What is computed of two values. */
export const BINARY = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
  Maximum: Math.max,
  Minimum: Math.min,
};

/** The operands of arithmetic at a place: {value, index, input}; input is null for a constant. */
export function operandsAt(inputs, layer, weights, place) {
  return layer.operands.map(({ input = null, weight, shape }) => {
    const index = placeIn(shape, layer.shape, place);
    return { input, index, value: input === null ? weights[weight + index] : inputs[input].values[index] };
  });
}

const combining = (rule) => (inputs, layer, weights) => {
  const whole = layer.shape.join();
  const [a, b] = layer.operands.map(({ input = null, weight, shape }) => {
    const values = input === null ? weights.subarray(weight) : inputs[input].values;
    return shape.join() === whole ? (i) => values[i] : (i) => values[placeIn(shape, layer.shape, i)];
  });
  return new Float32Array(layer.shape.reduce((m, n) => m * n, 1)).map((_, i) => rule(a(i), b(i)));
};

/** The error function, to 1.5e-7 (Abramowitz and Stegun, 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const steps = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const rest = steps.reduce((sum, c) => (sum + c) * t, 0) * Math.exp(-x * x);
  return Math.sign(x) * (1 - rest);
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const clamp = (x, low, high) => Math.min(high ?? Infinity, Math.max(low ?? -Infinity, x));
const elu = (x, alpha, scale, inner) => scale * (x > 0 ? x : alpha * Math.expm1(x * inner));

/** Functions of one value, with their settings. */
export const FUNCTIONS = {
  ReLU: (x) => (x < 0 ? 0 : x),
  Tanh: Math.tanh,
  Sigmoid: sigmoid,
  SiLU: (x) => x * sigmoid(x),
  GELU: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  GELUTanh: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  LeakyReLU: (x, slope) => (x < 0 ? slope * x : x),
  ELU: elu,
  SELU: (x) => elu(x, 1.6732632423543772, 1.0507009873554805, 1),
  Softplus: (x, beta, threshold) => (beta * x > threshold ? x : Math.log1p(Math.exp(beta * x)) / beta),
  Mish: (x) => x * Math.tanh(x > 20 ? x : Math.log1p(Math.exp(x))),
  Hardswish: (x) => (x * clamp(x + 3, 0, 6)) / 6,
  Hardsigmoid: (x) => clamp(x + 3, 0, 6) / 6,
  Clamp: clamp,
  Exp: Math.exp,
  Log: Math.log,
  Log1p: Math.log1p,
  Neg: (x) => -x,
  Abs: Math.abs,
  Sqrt: Math.sqrt,
  Rsqrt: (x) => 1 / Math.sqrt(x),
  Reciprocal: (x) => 1 / x,
  Power: (x, exponent) => x ** exponent,
  Square: (x) => x * x,
};

const applying = (rule) => ([{ values }], { args }) => values.map((value) => rule(value, ...args));

const total = (values) => values.reduce((a, b) => a + b, 0);
const maximum = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
function logSumExp(values) {
  const top = maximum(values);
  return Number.isFinite(top) ? top + Math.log(total(values.map((x) => Math.exp(x - top)))) : top;
}

/** From values that lie along some dimensions to one. */
export const REDUCTIONS = {
  Sum: total,
  Mean: (values) => total(values) / values.length,
  Max: maximum,
  Min: (values) => values.reduce((a, b) => Math.min(a, b), Infinity),
  LogSumExp: logSumExp,
  Norm: (values) => Math.sqrt(total(values.map((x) => x * x))),
};

/** From values that lie along a dimension to as many. */
const SCANS = {
  Softmax: softmax,
  LogSoftmax: (values) => {
    const whole = logSumExp(values);
    return values.map((x) => x - whole);
  },
  CumSum: (values) => {
    let upto = 0;
    return values.map((x) => (upto += x));
  },
  LogCumSumExp: (values) => {
    let upto = -Infinity;
    return values.map((x) => (upto = logSumExp([upto, x])));
  },
};

/** The places of the values that lie along the dimensions of a layer, for one of its groups of values. */
export function along({ count, inner }, group) {
  const start = Math.floor(group / inner) * count * inner + (group % inner);
  return Array.from({ length: count }, (_, k) => start + k * inner);
}

const reducing = (rule) => ([{ values }], layer) =>
  new Float32Array(values.length / layer.count).map((_, group) =>
    rule(along(layer, group).map((place) => values[place])),
  );

const scanning = (rule) => ([{ values }], layer) => {
  const out = new Float32Array(values.length);
  for (let group = 0; group < values.length / layer.count; group++) {
    const places = along(layer, group);
    rule(places.map((place) => values[place])).forEach((value, k) => (out[places[k]] = value));
  }
  return out;
};

const unchanged = ([{ values }]) => values;
/** A table with what is made of each of its entries. */
export const withEach = (table, make) => Object.fromEntries(Object.entries(table).map(([kind, rule]) => [kind, make(rule)]));

/** For each kind of layer, what computes its values. */
export const RUN = {
  Conv2d: convolve,
  MaxPool2d: poolMax,
  AvgPool2d: poolMean,
  BatchNorm: normalize,
  Linear: linear,
  Flatten: unchanged,
  Reshape: unchanged,
  Dropout: unchanged, // drops units in training only
  Move: moved,
  ...withEach(FUNCTIONS, applying),
  ...withEach(BINARY, combining),
  ...withEach(REDUCTIONS, reducing),
  ...withEach(SCANS, scanning),
};
