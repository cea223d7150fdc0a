/** What was changed of a network's filters and units by hand: applied in the page, and told to the server. */
import { kernelStart } from "./kernels.js";
import { page } from "./page.js";

const EDIT = "filters"; // its name among the edits of the page
const LARGEST = 1000; // the most that a factor, or a number of a kernel, may be
const DIGITS = 7; // that tell float32 numbers apart, as a rule

/** The changes. */
export class Changes {
  /** Of each changed filter {item, filter, scale, kernels}; `kernels` has new numbers, by channel. */
  #all = new Map();

  #key = (item, filter) => `${item.layer.weight} ${filter}`;

  /** What was changed of a filter; for one that was not, what leaves it as it is. */
  of(item, filter) {
    return this.#all.get(this.#key(item, filter)) ?? { item, filter, scale: 1, kernels: new Map() };
  }

  isChanged(item, filter) {
    return this.#all.has(this.#key(item, filter));
  }

  /** How many filters of convolutions were changed, and how many units of linear layers. */
  get counts() {
    const filters = [...this.#all.values()].filter(({ item }) => item.kind === "Conv2d").length;
    return [filters, this.#all.size - filters];
  }

  /** Multiply the output of a filter, or of a unit: 0 switches it off. */
  scale(item, filter, scale) {
    this.#set({ ...this.of(item, filter), scale });
  }

  /** Give a filter other numbers for a channel, as they are before it is scaled. */
  setKernel(item, filter, channel, numbers) {
    const change = this.of(item, filter);
    const own = page.base.subarray(...this.#range(item, filter, channel));
    const isOwn = numbers.every((value, i) => value === own[i]);
    const kernels = new Map(change.kernels);
    if (isOwn) kernels.delete(channel);
    else kernels.set(channel, Float32Array.from(numbers));
    this.#set({ ...change, kernels });
  }

  /** The numbers of a filter for a channel, before it is scaled. */
  kernel(item, filter, channel) {
    const own = page.base.subarray(...this.#range(item, filter, channel));
    return this.of(item, filter).kernels.get(channel) ?? own;
  }

  #range(item, filter, channel) {
    const start = kernelStart(item, filter, channel);
    return [start, start + item.area];
  }

  /** The changes as a text, for an address; "" for none. */
  asText() {
    const plain = [...this.#all.values()].map(({ item, filter, scale, kernels }) => {
      const numbers = [...kernels].map(([channel, kernel]) => [channel, ...Array.from(kernel, (w) => Number(w.toPrecision(DIGITS)))]);
      return [item.name, filter, scale, ...numbers];
    });
    return plain.length ? JSON.stringify(plain) : "";
  }

  /** Change what such a text says; it throws if that is not possible, and then changes nothing. */
  restore(text, items) {
    const found = JSON.parse(text).map(([name, filter, scale, ...kernels]) => {
      const item = items.find((each) => each.name === name);
      const isPlace = (value, count) => Number.isInteger(value) && value >= 0 && value < count;
      const areNumbers = (values) => values.every((value) => Number.isFinite(value) && Math.abs(value) <= LARGEST);
      const isKernel = ([channel, ...numbers]) =>
        item.kind === "Conv2d" && isPlace(channel, item.channels) && numbers.length === item.area && areNumbers(numbers);
      if (!item || !isPlace(filter, item.filters) || !areNumbers([scale]) || !kernels.every(isKernel))
        throw new RangeError(text);
      const numbers = kernels.map(([channel, ...kernel]) => [channel, Float32Array.from(kernel)]);
      return { item, filter, scale, kernels: new Map(numbers) };
    });
    for (const change of found) this.#set(change);
  }

  /** Leave a filter as it was trained. */
  reset(item, filter) {
    if (this.#all.delete(this.#key(item, filter))) this.#apply();
  }

  resetAll() {
    this.forget();
    this.#apply();
  }

  /** Begin with another network. */
  forget() {
    this.#all.clear();
  }

  #set(change) {
    const key = this.#key(change.item, change.filter);
    if (change.scale === 1 && !change.kernels.size) this.#all.delete(key);
    else this.#all.set(key, change);
    this.#apply();
  }

  /** Let the page run with the changes; several within a frame count as one. */
  #apply() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.#applyNow();
    });
  }

  #applyNow() {
    if (this.#all.size) page.edits.set(EDIT, (weights, network) => this.#edit(weights, network));
    else page.edits.delete(EDIT);
    page.applyEdits();
  }

  /** Change the weights of every step that shares them. */
  #edit(weights, network) {
    for (const { item, filter, scale, kernels } of this.#all.values())
      for (const number of item.numbers) {
        const layer = network.layers[number];
        for (const [channel, numbers] of kernels) weights.set(numbers, kernelStart({ ...item, layer }, filter, channel));
        const start = layer.weight + filter * item.size;
        for (let i = start; i < start + item.size; i++) weights[i] *= scale;
        if (layer.bias !== null) weights[layer.bias + filter] *= scale;
      }
  }

  /** The changes as the request `accuracy` takes them. */
  asPlain() {
    return [...this.#all.values()].flatMap(({ item, filter, scale, kernels }) => {
      const about = { layer: item.name, filter };
      const numbers = [...kernels].map(([channel, kernel]) => ({ ...about, channel, kernel: [...kernel] }));
      return scale === 1 ? numbers : [...numbers, { ...about, scale }];
    });
  }
}
