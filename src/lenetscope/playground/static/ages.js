/** The network at every age: the weights after each epoch that a run has kept, fetched once and held in the page. */
import { page } from "./page.js";
import { ask } from "./server.js";

const MEMORY = 2 ** 27; // bytes that the weights of all epochs may take, 128 MB

/** At most so many of some things, evenly spaced, the first and the last among them. */
export function evenly(things, most) {
  if (things.length <= most) return things;
  return Array.from({ length: most }, (_, i) => things[Math.round((i * (things.length - 1)) / (most - 1))]);
}

/** The ages of the network that is shown. */
export class Ages {
  constructor() {
    const { facts, base } = page;
    this.facts = facts;
    this.last = facts.lastEpoch ?? Math.max(...facts.epochs);
    const kept = [...new Set([...facts.epochs, this.last])].sort((a, b) => a - b);
    this.kept = kept.length;
    const most = Math.max(2, Math.floor(MEMORY / base.byteLength));
    this.epochs = facts.epochs.length && !facts.refusal ? evenly(kept, most) : [];
    if (this.epochs.length && !this.epochs.includes(this.last)) this.epochs[this.nearest(this.last)] = this.last;
    this.weights = new Map();
    this.loading = new Map();
  }

  /** Whether there is more than one. */
  get areSeveral() {
    return this.epochs.length > 1;
  }

  /** The epoch that is shown. */
  get shown() {
    return page.epoch ?? this.last;
  }

  /** Whether the weights are not those that the run ended with. */
  get isOld() {
    return page.epoch !== null && page.epoch !== this.last;
  }

  /** The place among `epochs` of the one that is nearest. */
  nearest(epoch) {
    const far = this.epochs.map((each) => Math.abs(each - epoch));
    return far.indexOf(Math.min(...far));
  }

  /** The weights after an epoch; asked for once. */
  async load(epoch) {
    if (!this.weights.has(epoch)) {
      if (!this.loading.has(epoch)) {
        const fields = { run: this.facts.run, epoch: epoch === this.last ? null : epoch };
        this.loading.set(epoch, ask("weights", fields, `weights of epoch ${epoch}`));
      }
      try {
        this.weights.set(epoch, new Float32Array(await this.loading.get(epoch)));
      } finally {
        this.loading.delete(epoch);
      }
    }
    return this.weights.get(epoch);
  }

  /** Show the network after an epoch; of several that are asked for the latest wins. */
  async show(epoch) {
    this.wanted = epoch;
    const weights = await this.load(epoch);
    await new Promise(requestAnimationFrame); // a slider may ask for several within a frame
    if (this.wanted !== epoch || page.facts !== this.facts) return;
    this.wanted = null;
    page.setWeights(weights, epoch === this.last ? null : epoch);
  }
}
