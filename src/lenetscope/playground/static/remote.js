/** A network that the page cannot run: the server runs it, and its layers are shown without arithmetic. */
import { ask, base64 } from "./server.js";

/** It has what `Network` has for the views that show maps. */
export class RemoteNetwork {
  /** @param facts as the server describes a run */
  constructor(facts) {
    this.run = facts.run;
    this.epoch = null;
    this.inputShape = facts.inputShape; // [C, H, W]
    const count = facts.classes.length;
    const softmax = { name: "softmax", kind: "Softmax", shape: [count], inputs: [facts.layers.length - 1] };
    this.layers = [...facts.layers, softmax];
    this.mean = facts.mean;
    this.std = facts.std;
    this.classes = facts.classes;
    this.weights = new Float32Array(0);
  }

  /** From pixels 0 to 255 to the outputs of every layer, as a promise; see `Network.see`. */
  async see(pixels) {
    const { run, epoch } = this;
    const values = new Float32Array(await ask("outputs", { run, epoch, pixels: base64(pixels) }));
    let start = 0;
    const layers = this.layers.map(({ name, kind, shape }) => {
      const size = shape.reduce((a, b) => a * b);
      start += size;
      return { name, kind, shape, values: values.subarray(start - size, start) };
    });
    const probabilities = layers.at(-1).values;
    return { input: Float32Array.from(pixels), layers, logits: layers.at(-2).values, probabilities };
  }
}
