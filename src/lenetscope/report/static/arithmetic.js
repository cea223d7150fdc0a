/**
 * How one value of a layer's output comes about: the terms, in numbers.
 *
 * Each kind of layer has a function of (layer, input, place, weights): `input` is what the layer is given,
 * {shape, values}; `place` is the position in its output, in PyTorch's order. What it returns has the
 * `value`, and what that is made of:
 *   sums      channels [{channel, sum, taps}], largest first, and bias   (convolution)
 *   windows   taps, and for a mean their sum and divisor                  (pooling)
 *   products  terms [{index, input, weight, product}], largest first, bias (linear)
 *   one value index, input                                                (all others)
 * A tap is one place of a kernel: {row, column, inside, index, input} and in a convolution weight, product.
 */
import { softmax } from "./network.js";

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

function convolved(layer, input, place, weights) {
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

function largestOf(layer, input, place) {
  const at = position(place, layer.shape);
  const taps = covered(layer, input, at.channel, at);
  const value = Math.max(...taps.filter((tap) => tap.inside).map((tap) => tap.input));
  const winner = taps.find((tap) => tap.inside && tap.input === value);
  return { channel: at.channel, taps, winner, value };
}

function meanOf(layer, input, place) {
  const at = position(place, layer.shape);
  const taps = covered(layer, input, at.channel, at);
  const counted = layer.countPadding ? taps.length : taps.filter((tap) => tap.inside).length;
  const divisor = layer.divisor ?? counted;
  const sum = add(taps.map((tap) => tap.input));
  return { channel: at.channel, taps, sum, divisor, value: sum / divisor };
}

function normalized(layer, input, place, weights) {
  const { channel } = position(place, layer.shape);
  const [scale, shift] = [weights[layer.weight + channel], weights[layer.bias + channel]];
  const product = input.values[place] * scale;
  return { index: place, input: input.values[place], scale, shift, product, value: product + shift };
}

function weightedSum(layer, { values }, place, weights) {
  const row = layer.weight + place * values.length;
  const terms = Array.from(values, (input, index) => {
    const weight = weights[row + index];
    return { index, input, weight, product: weight * input };
  }).sort(bySize("product"));
  const bias = biasOf(layer, weights, place);
  return { terms, bias, value: add(terms.map((term) => term.product)) + bias };
}

function share(layer, { values }, place) {
  const top = Math.max(...values);
  const exponents = Array.from(values, (value) => value - top);
  const powers = exponents.map(Math.exp);
  return { index: place, top, exponents, powers, sum: add(powers), value: softmax(values)[place] };
}

const applied = (rule) => (layer, input, place) => ({
  index: place,
  input: input.values[place],
  value: rule(input.values[place]),
});
const same = applied((x) => x);

const EXPLAIN = {
  Conv2d: convolved,
  MaxPool2d: largestOf,
  AvgPool2d: meanOf,
  BatchNorm2d: normalized,
  Linear: weightedSum,
  Softmax: share,
  ReLU: applied((x) => Math.max(0, x)),
  Tanh: applied(Math.tanh),
  Sigmoid: applied((x) => 1 / (1 + Math.exp(-x))),
  Flatten: same,
  Dropout: same,
  Identity: same,
};

/** How the value at a place of a layer's output comes about. */
export function explainValue(layer, input, place, weights) {
  return EXPLAIN[layer.kind](layer, input, place, weights);
}
