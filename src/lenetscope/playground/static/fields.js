/**
 * Which part of the image a value sees, and which values of the layer before it is made from.
 *
 * The first is the receptive field: it follows from the steps alone, kernel by kernel, back to the image. A region
 * is [[first, last] channel, [first, last] row, [first, last] column] of a layer's output.
 */
import { explainValue, position } from "../report/arithmetic.js";
import { along, BINARY, cameFrom, FUNCTIONS, REDUCTIONS, withEach } from "../report/operations.js";

/** A shape as maps: (N,) is N maps of one value. */
function asMaps(shape) {
  if (shape.length === 1) return [shape[0], 1, 1];
  return [shape.slice(0, -2).reduce((a, b) => a * b, 1), ...shape.slice(-2)];
}

const wholeOf = (shape) => asMaps(shape).map((size) => [0, size - 1]);
const within = ([low, high], size) => [Math.max(0, low), Math.min(size - 1, high)];

/** The smallest region around places of a shape; null around none. */
function around(places, shape) {
  const maps = asMaps(shape);
  const found = [[Infinity, -1], [Infinity, -1], [Infinity, -1]];
  for (const place of places) {
    const { channel, row, column } = position(place, maps);
    [channel, row, column].forEach((at, i) => (found[i] = [Math.min(found[i][0], at), Math.max(found[i][1], at)]));
  }
  return found[0][1] < 0 ? null : found;
}

/** The places of a region. */
function* placesOf([channels, rows, columns], shape) {
  const [, height, width] = asMaps(shape);
  for (let c = channels[0]; c <= channels[1]; c++)
    for (let y = rows[0]; y <= rows[1]; y++)
      for (let x = columns[0]; x <= columns[1]; x++) yield (c * height + y) * width + x;
}

const joined = (a, b) => (a && b ? a.map(([low, high], i) => [Math.min(low, b[i][0]), Math.max(high, b[i][1])]) : (a ?? b));

/** What a kernel covers of the rows, or columns, of its input. */
const covered = (layer, axis, [first, last]) => [
  first * layer.stride[axis] - layer.padding[axis],
  last * layer.stride[axis] - layer.padding[axis] + (layer.kernel[axis] - 1) * layer.dilation[axis],
];

function windowed(layer, shapes, [channels, rows, columns]) {
  const [, height, width] = asMaps(shapes[0]);
  const region = [channels, within(covered(layer, 0, rows), height), within(covered(layer, 1, columns), width)];
  return [region.every(([low, high]) => low <= high) ? region : null];
}

function convolved(layer, shapes, region) {
  const [filters, inputs] = [layer.shape[0] / layer.groups, shapes[0][0] / layer.groups];
  const [first, last] = region[0].map((filter) => Math.floor(filter / filters));
  return windowed(layer, shapes, [[first * inputs, (last + 1) * inputs - 1], region[1], region[2]]);
}

/** All values along the last dimension, which a linear layer weighs. */
function weighed(layer, [shape], region) {
  const last = shape.length === 1 ? 0 : 2;
  return [region.map((range, i) => (i === last ? wholeOf(shape)[i] : range))];
}

const same = (_, shapes, region) => shapes.map(() => region);

/** Of the same values in another shape. */
function reshaped(layer, [shape], region) {
  const places = [...placesOf(region, layer.shape)];
  return [around(places, shape)];
}

function repeated(layer, shapes, region) {
  const whole = asMaps(layer.shape);
  return shapes.map((shape) => asMaps(shape).map((size, i) => (size === whole[i] ? region[i] : [0, size - 1])));
}

function moved(layer, shapes, region, weights) {
  const from = cameFrom(layer, weights);
  const found = shapes.map(() => []);
  for (const place of placesOf(region, layer.shape)) {
    let [index, source] = [from[place], 0];
    if (index < 0) continue;
    for (let size; index >= (size = shapes[source].reduce((a, b) => a * b, 1)); source++) index -= size;
    found[source].push(index);
  }
  return shapes.map((shape, i) => around(found[i], shape));
}

function reduced(layer, [shape], region) {
  const places = new Set();
  for (const group of placesOf(region, layer.shape)) for (const place of along(layer, group)) places.add(place);
  return [around(places, shape)];
}

/** Of values that depend on all along a dimension. */
function scanned(layer, [shape], region) {
  const places = new Set();
  for (const place of placesOf(region, layer.shape)) {
    const group = Math.floor(place / (layer.count * layer.inner)) * layer.inner + (place % layer.inner);
    for (const other of along(layer, group)) places.add(other);
  }
  return [around(places, shape)];
}

/** For each kind of layer: the regions of its inputs on which a region of its output depends. */
const BACK = {
  Conv2d: convolved,
  MaxPool2d: windowed,
  AvgPool2d: windowed,
  BatchNorm: same,
  Dropout: same,
  Linear: weighed,
  Flatten: reshaped,
  Reshape: reshaped,
  Move: moved,
  ...Object.fromEntries(["Softmax", "LogSoftmax", "CumSum", "LogCumSumExp"].map((kind) => [kind, scanned])),
  ...withEach(FUNCTIONS, () => same),
  ...withEach(BINARY, () => repeated),
  ...withEach(REDUCTIONS, () => reduced),
};

/**
 * The part of the image on which a value of a layer depends.
 * @param number of the layer; -1 is the image itself
 * @returns {{left, top, width, height}} in pixels; null if it depends on none
 */
export function receptiveField({ layers, inputShape, weights }, number, index) {
  const shapeOf = (each) => (each < 0 ? inputShape : layers[each].shape);
  const regions = new Map([[number, around([index], shapeOf(number))]]);
  for (let n = number; n >= 0; n--) {
    const region = regions.get(n);
    if (!region) continue;
    const { kind, inputs = [] } = layers[n];
    const shapes = inputs.map(shapeOf);
    const parts = BACK[kind]?.(layers[n], shapes, region, weights) ?? shapes.map(wholeOf);
    inputs.forEach((input, i) => regions.set(input, joined(regions.get(input), parts[i])));
  }
  const found = regions.get(-1);
  if (!found) return null;
  const [, [top, bottom], [left, right]] = found;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

export const MOST = 6; // sources to which lines are drawn

/**
 * What a value is made from, the strongest first.
 *
 * Each source is a value, `from`, or a window {map, x, y, width, height} of the input whose number is `input`. What it
 * adds to the value is its `amount`, null where nothing is added.
 * @param inputs {shape, values} each
 */
export function sourcesOf(layer, inputs, index, weights) {
  const found = explainValue(layer, inputs, index, weights);
  if (found.channels)
    return found.channels.map(({ channel, sum, taps }) => ({ input: 0, map: channel, ...windowOf(layer, taps), amount: sum }));
  if (found.taps) {
    const amount = found.winner ? null : found.sum;
    return [{ input: 0, map: found.channel, ...windowOf(layer, found.taps), from: found.winner?.index, amount }];
  }
  const value = (input, from, amount) => ({ input, from, amount });
  if (found.terms) return found.terms.slice(0, MOST).map((term) => value(0, term.index, term.product ?? null));
  if (found.powers) {
    const powers = found.places.map((place, k) => value(0, place, found.powers[k]));
    return powers.sort((a, b) => b.amount - a.amount).slice(0, MOST);
  }
  if (found.operands) {
    const outputs = found.operands.filter(({ input }) => input !== null);
    return outputs.map((operand) => value(operand.input, operand.index, layer.kind === "Add" ? operand.value : null));
  }
  return found.source === null || !inputs.length ? [] : [value(found.source ?? 0, found.index, null)];
}

function windowOf(layer, taps) {
  const size = (axis) => (layer.kernel[axis] - 1) * layer.dilation[axis] + 1;
  return { x: taps[0].column, y: taps[0].row, width: size(1), height: size(0) };
}
