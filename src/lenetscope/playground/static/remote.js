/** A network that the page cannot run: the server runs it, and its layers are shown without arithmetic. */
import { ask, base64 } from "./server.js";

/** It has what `Network` has for the views that show maps. */
export class RemoteNetwork {
  /** @param facts as the server describes a run */
  constructor(facts) {
    this.name = facts.run;
    this.inputShape = facts.inputShape; // [C, H, W]
    const count = facts.classes.length;
    const softmax = { name: "softmax", kind: "Softmax", shape: [count], inputs: [facts.layers.length - 1] };
    this.layers = [...facts.layers, softmax];
    this.mean = facts.mean;
    this.std = facts.std;
    this.classes = facts.classes;
    this.weights = new Float32Array(0);
  }

  /** Fractions of 255; the server does what else is to be done. */
  preprocess(pixels) {
    return Float32Array.from(pixels, (pixel) => pixel / 255);
  }

  /** The outputs of every layer for an image of pixels 0 to 255, as a promise; see `Network.run`. */
  async run(_prepared, pixels) {
    const values = new Float32Array(await ask("outputs", { run: this.name, pixels: base64(pixels) }));
    let start = 0;
    const layers = this.layers.map(({ name, kind, shape }) => {
      const size = shape.reduce((a, b) => a * b);
      start += size;
      return { name, kind, shape, values: values.subarray(start - size, start) };
    });
    const probabilities = layers.at(-1).values;
    return { input: this.preprocess(pixels), layers, logits: layers.at(-2).values, probabilities };
  }
}
