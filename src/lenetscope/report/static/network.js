/** The forward pass of a network: it runs the steps that `lenetscope.report.network.describe` wrote. */
import { RUN } from "./operations.js";

/** Decode base64 of little-endian float32, on any machine. */
export function decodeFloats(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return new Float32Array(bytes.buffer);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** A network: its layers, or steps, with their weights. */
export class Network {
  /**
   * @param description as in the page's data: inputShape, layers, weights as base64 or as a Float32Array
   *   (and mean, std, classes)
   */
  constructor(description) {
    const { weights } = description;
    this.weights = typeof weights === "string" ? decodeFloats(weights) : weights;
    this.inputShape = description.inputShape; // [C, H, W]
    const last = description.layers.at(-1);
    const [count] = last.shape;
    const softmax = { name: "softmax", kind: "Softmax", shape: last.shape, count, inner: 1 };
    this.layers = [...description.layers, { ...softmax, inputs: [description.layers.length - 1] }];
    this.mean = description.mean ?? [];
    this.std = description.std ?? [];
    this.classes = description.classes ?? [];
  }

  /** From pixels 0 to 255, (C, H, W) in one array, to the input of the first layer. */
  preprocess(pixels) {
    const area = this.inputShape[1] * this.inputShape[2];
    return Float32Array.from(pixels, (pixel, i) => {
      const channel = Math.floor(i / area);
      return (Math.fround(pixel / 255) - (this.mean[channel] ?? 0)) / (this.std[channel] ?? 1);
    });
  }

  /**
   * Run one preprocessed image; the last layer is the softmax that gives the probabilities.
   * @returns {{input, layers: {name, kind, shape, values: Float32Array}[], logits, probabilities}}
   */
  run(image) {
    const given = { shape: this.inputShape, values: image };
    const layers = [];
    for (const layer of this.layers) {
      const inputs = layer.inputs.map((number) => layers[number] ?? given);
      const values = RUN[layer.kind](inputs, layer, this.weights);
      layers.push({ name: layer.name, kind: layer.kind, shape: layer.shape, values });
    }
    return { input: image, layers, logits: layers.at(-2).values, probabilities: layers.at(-1).values };
  }

  /** From pixels 0 to 255 to the probability of each class. */
  predict(pixels) {
    return Array.from(this.run(this.preprocess(pixels)).probabilities);
  }
}
