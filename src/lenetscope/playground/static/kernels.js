/** The filters of a network's convolutions and the units of its linear layers, as weights that can be painted and changed. */
import { paint } from "../report/colours.js";
import { element } from "../report/dom.js";
import { plainNumber } from "../report/numbers.js";

/**
 * The layers that have filters or units, each once however often it runs.
 * @returns {{name, kind, layer, numbers: number[], filters, channels, area, size, height, width, isModule}[]}
 *   `numbers` are those of the steps that share the weights, `channels` those that one filter has a kernel for,
 *   `isModule` says whether PyTorch knows the layer by that name
 */
export function weightedLayers(network) {
  const found = [];
  network.layers.forEach((layer, number) => {
    if (layer.kind !== "Conv2d" && layer.kind !== "Linear") return;
    const [input] = layer.inputs;
    const given = network.layers[input]?.shape ?? network.inputShape;
    const isFilter = layer.kind === "Conv2d";
    const [height, width] = isFilter ? layer.kernel : [1, 1];
    const channels = isFilter ? given[0] / layer.groups : given.at(-1);
    const filters = isFilter ? layer.shape[0] : layer.shape.at(-1);
    const area = height * width;
    const isModule = Boolean(layer.layer) && (!layer.steps || layer.of === layer.kind);
    const name = (layer.layer ?? layer.name).replace(/:\d+$/, "");
    const made = { name, kind: layer.kind, layer, numbers: [number], filters, channels, area, height, width, isModule };
    made.size = channels * area;
    const same = found.find((each) => areShared(each, made, network.weights));
    if (same) same.numbers.push(number);
    else found.push(made);
  });
  return found;
}

/** Whether two steps have the same weights: those of one layer that is called twice, or known by two names. */
function areShared(a, b, weights) {
  if (a.kind !== b.kind || a.filters !== b.filters || a.size !== b.size) return false;
  if (a.isModule && a.name === b.name) return true;
  const [first, second] = [a.layer.weight, b.layer.weight];
  let varies = false; // two layers that begin with nothing but zeros share nothing
  for (let i = 0; i < a.filters * a.size; i++) {
    if (weights[first + i] !== weights[second + i]) return false;
    varies ||= weights[first + i] !== weights[first];
  }
  return varies;
}

/** Where the kernel of a filter for a channel begins in the weights. */
export const kernelStart = (item, filter, channel) => item.layer.weight + filter * item.size + channel * item.area;

/** A filter as a picture, (height, width): its kernel for one channel, or, for null, the mean over its channels. */
export function filterPicture(weights, item, filter, channel = null) {
  const { area, channels } = item;
  const start = kernelStart(item, filter, channel ?? 0);
  if (channel !== null || channels === 1) return weights.slice(start, start + area);
  const mean = new Float32Array(area);
  for (let c = 0; c < channels; c++) for (let i = 0; i < area; i++) mean[i] += weights[start + c * area + i] / channels;
  return mean;
}

/** The largest absolute value of the pictures of all filters: where their colour scale ends. */
export function pictureBound(weights, item, channel = null) {
  let most = 0;
  for (let f = 0; f < item.filters; f++)
    for (const value of filterPicture(weights, item, f, channel)) most = Math.max(most, Math.abs(value));
  return most || 1e-9;
}

/** Paint a filter onto a canvas, on the signed scale. */
export function paintFilter(canvas, weights, item, filter, channel, bound, scale) {
  paint(canvas, filterPicture(weights, item, filter, channel), 0, item.width, item.height, scale, true, bound);
}

/** Paint one map of what a step returned onto a canvas, on the signed scale; it ends at the step's largest value. */
export function paintStepMap(canvas, { shape, values }, map, scale, bound) {
  const [, height, width] = shape;
  paint(canvas, values, map * height * width, width, height, scale, true, bound);
}

/** The number of the input channel that a filter's first kernel is for: filters of other groups have others. */
export const firstChannel = ({ layer, filters, channels }, filter) =>
  Math.floor(filter / (filters / (layer.groups ?? 1))) * channels;

/** What the colours of a signed scale stand for: from -bound to bound. */
export function scaleBar(bound, scale) {
  const bar = element("canvas");
  paint(bar, Float32Array.from({ length: 64 }, (_, i) => i / 31.5 - 1), 0, 64, 1, scale, true, 1);
  bar.setAttribute("aria-hidden", "true");
  return element("p", "scale", element("span", "", plainNumber(-bound)), bar, element("span", "", plainNumber(bound)));
}
