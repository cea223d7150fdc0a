/**
 * What the page shows now: a network with its weights, and what it makes of the drawing.
 *
 * Every view hears of changes by the events of `page`:
 *   "network"  another network is shown: `page.network` has new layers
 *   "weights"  its weights have changed: another epoch, a filter switched off, a step of training
 *   "run"      it ran on another image, or with other weights: `page.outputs`, `page.pixels`
 *   "familiar" it is known what the network knows: `page.familiar`
 *   "view"     another view was chosen: `page.view`
 */
import { decodeScales } from "../report/colours.js";
import { Familiar } from "../report/familiar.js";
import { Network } from "../report/network.js";
import { RemoteNetwork } from "./remote.js";
import { ask } from "./server.js";

/** See `page`. */
class Page extends EventTarget {
  /** What the server says of the run: name, classes, epochs, and so on. */
  facts = null;
  /** @type {Network} the network that is shown */
  network = null;
  /** Its weights before any edit, as those of `epoch`. */
  base = null;
  /** The epoch that is shown; null for the last. */
  epoch = null;
  /** What changes the weights before the network runs, by name: functions of (weights, network). */
  edits = new Map();
  /** What the network returned last, see `Network.run`; its input as bytes 0 to 255 is `pixels`. */
  outputs = null;
  pixels = null;
  /** The part of the pad that the network's input shows, {left, top, width, height} in pixels of the pad. */
  seen = null;
  /** Whether nothing is drawn. */
  empty = true;
  /** Tells which outputs are like those of training images; it is null until that is known. */
  familiar = null;
  /** The name of the view that is chosen. */
  view = "layers";
  /** Runs the network on the drawing again; the pad sets it. */
  update = () => {};
  /** Put an image onto the pad: its pixels, as in `pixels`, and a line that says what it is; the pad sets it. */
  load = () => {};
  /** Put something onto an empty pad; the pad sets it. */
  greet = () => {};

  /** Show a run that the server has open, by default the first. */
  async open(run = null, epoch = null) {
    const facts = await ask("network", { run });
    const weights = facts.refusal ? new ArrayBuffer(0) : await ask("weights", { run: facts.run, epoch });
    this.show(facts, new Float32Array(weights), epoch);
    if (facts.refusal) return;
    ask("familiar", { run: facts.run }).then(
      (found) => {
        if (this.facts !== facts) return;
        this.familiar = new Familiar(found);
        this.emit("familiar");
      },
      () => {}, // without it no drawing is refused
    );
  }

  /** Show a network, described as by the request `network`. */
  show(facts, weights, epoch = null) {
    this.facts = facts;
    this.scales = decodeScales(facts.colours);
    this.network = facts.refusal ? new RemoteNetwork(facts) : new Network({ ...facts, weights });
    this.edits.clear();
    Object.assign(this, { familiar: null, outputs: null, pixels: null });
    this.base = weights;
    this.epoch = epoch;
    this.emit("network");
    this.setWeights(weights, epoch);
  }

  /** Show the same network with other weights. */
  setWeights(weights, epoch = this.epoch) {
    this.base = weights;
    this.epoch = epoch;
    this.applyEdits();
  }

  /** Change the weights as `edits` say, and run. */
  applyEdits() {
    const weights = this.edits.size ? this.base.slice() : this.base;
    for (const edit of this.edits.values()) edit(weights, this.network);
    this.network.weights = weights;
    this.emit("weights");
    this.update();
  }

  /** Whether the weights are those that the run ended with, unedited. */
  get isAsTrained() {
    return (this.epoch === null || this.epoch === this.facts.lastEpoch) && !this.edits.size;
  }

  emit(kind) {
    this.dispatchEvent(new Event(kind));
  }

  on(kind, hear) {
    this.addEventListener(kind, hear);
  }
}

/** The page that is shown; every module shares it. */
export const page = new Page();
