/**
 * How one value of a layer's output comes about: the terms, in numbers.
 *
 * Each kind of layer has a function of (layer, inputs, place, weights): `inputs` are what the layer is given,
 * {shape, values} each; `place` is the position in its output, in PyTorch's order. What it returns has the
 * `value`, and what that is made of:
 *   sums      channels [{channel, sum, taps}], largest first, and bias   (convolution)
 *   windows   taps, and for a mean their sum and divisor                  (pooling)
 *   products  terms [{index, input, weight, product}], largest first, bias (linear)
 *   values    terms [{index, input}], largest first                       (along a dimension)
 *   operands  [{input, index, value}], of which input is null for a constant (arithmetic)
 *   a pixel   index, pixel 0 to 255, mean, std                            (the image, as it was normalised)
 *   one value index, input, and source: in which of the inputs; null if in none (all others)
 * A tap is one place of a kernel: {row, column, inside, index, input} and in a convolution weight, product.
 */
import { along, BINARY, cameFrom, FUNCTIONS, operandsAt, REDUCTIONS, RUN, withEach } from "./operations.js";

/** The channel, row and column of a place in values of a shape (C, H, W). */
export function position(index, [, height, width]) {
  const area = height * width;
  const rest = index % area;
  return { channel: Math.floor(index / area), row: Math.floor(rest / width), column: rest % width };
}

/** What a kernel covers in one channel of the input for one place of the output. */
function covered(layer, { shape, values }, channel, { row, column }) {
  const [, height, width] = shape;
  const taps = [];
  for (let ky = 0; ky < layer.kernel[0]; ky++)
    for (let kx = 0; kx < layer.kernel[1]; kx++) {
      const y = row * layer.stride[0] + ky * layer.dilation[0] - layer.padding[0];
      const x = column * layer.stride[1] + kx * layer.dilation[1] - layer.padding[1];
      const inside = y >= 0 && y < height && x >= 0 && x < width;
      const index = (channel * height + y) * width + x;
      taps.push({ row: y, column: x, inside, index, input: inside ? values[index] : 0 });
    }
  return taps;
}

const add = (values) => values.reduce((a, b) => a + b, 0);
const bySize = (key) => (a, b) => Math.abs(b[key]) - Math.abs(a[key]);
const biasOf = (layer, weights, i) => (layer.bias === null ? 0 : weights[layer.bias + i]);

function convolved(layer, [input], place, weights) {
  const at = position(place, layer.shape);
  const filter = at.channel;
  const perGroup = input.shape[0] / layer.groups;
  const first = Math.floor(filter / (layer.shape[0] / layer.groups)) * perGroup;
  const area = layer.kernel[0] * layer.kernel[1];
  const channels = Array.from({ length: perGroup }, (_, c) => {
    const taps = covered(layer, input, first + c, at).map((tap, k) => {
      const weight = weights[layer.weight + (filter * perGroup + c) * area + k];
      return { ...tap, weight, product: weight * tap.input };
    });
    return { channel: first + c, sum: add(taps.map((tap) => tap.product)), taps };
  }).sort(bySize("sum"));
  const bias = biasOf(layer, weights, filter);
  return { channels, bias, value: add(channels.map((part) => part.sum)) + bias };
}

function largestOf(layer, [input], place) {
  const at = position(place, layer.shape);
  const taps = covered(layer, input, at.channel, at);
  const value = Math.max(...taps.filter((tap) => tap.inside).map((tap) => tap.input));
  const winner = taps.find((tap) => tap.inside && tap.input === value);
  return { channel: at.channel, taps, winner, value };
}

function meanOf(layer, [input], place) {
  const at = position(place, layer.shape);
  const taps = covered(layer, input, at.channel, at);
  const counted = layer.countPadding ? taps.length : taps.filter((tap) => tap.inside).length;
  const divisor = layer.divisor ?? counted;
  const sum = add(taps.map((tap) => tap.input));
  return { channel: at.channel, taps, sum, divisor, value: sum / divisor };
}

function normalized(layer, [input], place, weights) {
  const channel = Math.floor(place / (input.values.length / input.shape[0]));
  const [scale, shift] = [weights[layer.weight + channel], weights[layer.bias + channel]];
  const product = input.values[place] * scale;
  return { index: place, input: input.values[place], scale, shift, product, value: product + shift };
}

function weightedSum(layer, [{ shape, values }], place, weights) {
  const [inputs, outputs] = [shape.at(-1), layer.shape.at(-1)];
  const [start, k] = [Math.floor(place / outputs) * inputs, place % outputs];
  const terms = Array.from(values.subarray(start, start + inputs), (input, i) => {
    const weight = weights[layer.weight + k * inputs + i];
    return { index: start + i, input, weight, product: weight * input };
  }).sort(bySize("product"));
  const bias = biasOf(layer, weights, k);
  return { terms, bias, value: add(terms.map((term) => term.product)) + bias };
}

/** The places of the values along a dimension with that of `place`, and where that is among them. */
function beside(layer, place) {
  const { count, inner } = layer;
  const group = Math.floor(place / (count * inner)) * inner + (place % inner);
  return { places: along(layer, group), at: Math.floor(place / inner) % count };
}

function share(layer, [{ values }], place) {
  const { places, at } = beside(layer, place);
  const given = places.map((index) => values[index]);
  const top = Math.max(...given);
  const exponents = given.map((value) => value - top);
  const powers = exponents.map(Math.exp);
  const sum = add(powers);
  return { index: place, places, at, top, exponents, powers, sum, value: powers[at] / sum };
}

const gathered = (rule) => (layer, [{ values }], place) => {
  const terms = along(layer, place).map((index) => ({ index, input: values[index] }));
  const value = rule(terms.map((term) => term.input));
  return { terms: terms.sort(bySize("input")), value };
};

/** What depends on all values along a dimension, or on those up to a place. */
const accumulated = (whole) => (layer, inputs, place) => {
  const { places, at } = beside(layer, place);
  const { values } = inputs[0];
  const terms = places.slice(0, whole ? places.length : at + 1).map((index) => ({ index, input: values[index] }));
  return { terms: terms.sort(bySize("input")), value: RUN[layer.kind](inputs, layer)[place] };
};

const calculated = (rule) => (layer, inputs, place, weights) => {
  const operands = operandsAt(inputs, layer, weights, place);
  return { operands, value: rule(...operands.map((operand) => operand.value)) };
};

function taken(layer, inputs, place, weights) {
  let index = cameFrom(layer, weights)[place];
  if (index < 0) return { source: null, value: layer.filling };
  let source = 0;
  while (index >= inputs[source].values.length) index -= inputs[source++].values.length;
  return { source, index, input: inputs[source].values[index], value: inputs[source].values[index] };
}

const applied = (rule) => (layer, [input], place) => ({
  index: place,
  input: input.values[place],
  value: rule(input.values[place], ...(layer.args ?? [])),
});
const same = applied((x) => x);

function normalizedPixel(layer, [{ values }], place) {
  const { channel } = position(place, layer.shape);
  const [mean, std] = [layer.mean[channel] ?? 0, layer.std[channel] ?? 1];
  return { index: place, pixel: Math.round(255 * (values[place] * std + mean)), mean, std, value: values[place] };
}

const EXPLAIN = {
  Image: normalizedPixel,
  Conv2d: convolved,
  MaxPool2d: largestOf,
  AvgPool2d: meanOf,
  BatchNorm: normalized,
  Linear: weightedSum,
  Softmax: share,
  LogSoftmax: accumulated(true),
  CumSum: accumulated(false),
  LogCumSumExp: accumulated(false),
  Flatten: same,
  Reshape: same,
  Dropout: same,
  Move: taken,
  ...withEach(FUNCTIONS, applied),
  ...withEach(BINARY, calculated),
  ...withEach(REDUCTIONS, gathered),
};

/** How the value at a place of a layer's output comes about. */
export function explainValue(layer, inputs, place, weights) {
  return EXPLAIN[layer.kind](layer, inputs, place, weights);
}
