/** The steps of the tour: what each shows of the network and the drawing that are there, in their numbers. */
import { decimal, decimals, percent, plainNumber } from "../report/numbers.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.tour;

const number = (value) => decimal(value, Math.max(2, decimals([value])));

/** The place of the largest of some values. */
const largestOf = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

/** The last listed layer of a kind, or the first. */
function row(maps, kind, isLast = false) {
  const found = maps.rows.filter(({ layer, buttons }) => layer.kind === kind && buttons);
  return isLast ? found.at(-1) : found[0];
}

/** Map, row and column of a place, counted from 1. */
function where({ width, height }, index) {
  const rest = index % (width * height);
  return { map: Math.floor(index / (width * height)) + 1, row: Math.floor(rest / width) + 1, column: (rest % width) + 1 };
}

const best = () => largestOf(page.outputs.probabilities);

/**
 * Each step is a function of the maps; it returns {row, index, words: [heading, text]}, and where something moves
 * `path`, the places that it moves over; null where the network has no such layer.
 */
export const STEPS = [
  function pixel(maps) {
    const index = largestOf(page.pixels);
    const [, height, width] = page.network.inputShape;
    const given = number(page.outputs.input[index]);
    const at = where(maps.image, index);
    return { row: maps.image, index, words: texts.pixel(height, width, at, page.pixels[index], given) };
  },

  function filter(maps) {
    const found = row(maps, "Conv2d");
    if (!found?.layer.kernel) return null;
    const index = largestOf(found.values);
    const area = found.width * found.height;
    const first = index - (index % area);
    const { layer } = found;
    const terms = layer.kernel[0] * layer.kernel[1] * ((page.network.layers[layer.inputs[0]]?.shape ?? page.network.inputShape)[0] / layer.groups);
    const words = texts.filter(layer.name, layer.kernel.join("×"), terms, layer.bias !== null, found.count, where(found, index), number(found.values[index]));
    return { row: found, index, words, path: Array.from({ length: area }, (_, i) => first + i) };
  },

  function maximum(maps) {
    const found = row(maps, "MaxPool2d");
    if (!found?.layer.kernel) return null;
    const index = largestOf(found.values);
    const before = page.network.layers[found.layer.inputs[0]]?.shape ?? page.network.inputShape;
    const sizes = [before.slice(1).join("×"), `${found.height}×${found.width}`];
    return { row: found, index, words: texts.maximum(found.layer.name, found.layer.kernel.join("×"), number(found.values[index]), ...sizes) };
  },

  function flattening(maps) {
    const found = row(maps, "Flatten");
    if (!found?.layer.inputs) return null;
    const index = largestOf(found.values);
    const before = page.network.layers[found.layer.inputs[0]]?.shape ?? page.network.inputShape;
    const words = texts.flattening(found.layer.name, before[0], before.slice(1).join("×"), found.values.length, index + 1);
    return { row: found, index, words };
  },

  function weighing(maps) {
    const found = row(maps, "Linear", true);
    const { classes, layers } = page.network;
    if (found?.layer.shape[0] !== classes.length || !found.layer.inputs) return null;
    const index = best();
    const count = (layers[found.layer.inputs[0]]?.shape ?? page.network.inputShape).reduce((a, b) => a * b);
    return { row: found, index, words: texts.weighing(found.layer.name, count, classes[index], plainNumber(found.values[index])) };
  },

  function softmax(maps) {
    const found = maps.rows.at(-1);
    const index = best();
    const { classes } = page.network;
    return { row: found, index, words: texts.softmax(classes.length, classes[index], percent(found.values[index])) };
  },
];
