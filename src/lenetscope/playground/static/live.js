/**
 * The training that goes on, if there is one: what the server tells of it, and its weights in the network
 * that the page shows, while `follows` is set. It works whichever view is chosen.
 */
import { page } from "./page.js";
import { ask, listen } from "./server.js";

const ACTIVE = ["starting", "training", "paused", "evaluating"];

/** See `live`; it tells of each change by the event "change". */
class Live extends EventTarget {
  /** What the server says of the training that goes on, or was the last; null before the first. */
  state = null;
  /** The same of those before, the newest first. */
  former = [];
  #follows = false;
  #shown = 0;
  #busy = false;
  #again = false;

  constructor() {
    super();
    listen("training", (state) => {
      this.state = state;
      this.changed();
      this.#show();
    });
    listen("trained", (former) => {
      this.former = former;
      this.changed();
    });
    page.on("network", () => {
      if (!page.facts.live) this.follows = false;
    });
    document.addEventListener("visibilitychange", () => this.#show());
  }

  get isActive() {
    return ACTIVE.includes(this.state?.phase);
  }

  /** Whether the page shows the network that is trained, with the weights of the moment. */
  get follows() {
    return this.#follows;
  }

  set follows(follows) {
    if (follows === this.#follows) return;
    this.#follows = follows;
    this.#shown = 0;
    this.changed();
    this.#show();
  }

  /** Whether the network of the page is that of this training. */
  get isShown() {
    return page.facts !== null && page.facts.run === this.state?.run;
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Show the latest weights; those that come while it is busy are shown next, or overtaken. */
  async #show() {
    if (!this.#follows || document.hidden || !this.state?.run) return;
    if (this.#busy) {
      this.#again = true; // the last event of a training has none after it
      return;
    }
    this.#busy = true;
    try {
      const { run, weights, opened } = this.state;
      if (!this.isActive) {
        if (opened) await page.open(run);
        this.follows = false;
      } else if (weights > this.#shown) {
        const isNew = !(page.facts?.live && this.isShown);
        const facts = isNew && (await ask("training-network"));
        const values = new Float32Array(await ask("training-weights"));
        this.#shown = weights;
        if (!this.#follows) return;
        if (isNew) {
          page.familiar = null;
          page.show(facts, values);
        } else page.setWeights(values);
      }
    } catch {
      // the training has just ended, or the page shows something else: the next event tells
    } finally {
      this.#busy = false;
      if (this.#again) {
        this.#again = false;
        this.#show();
      }
    }
  }
}

/** The training, as this page knows it. */
export const live = new Live();
