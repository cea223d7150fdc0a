/** The confusion matrix: choose a cell to see its images. */
import { paintPixels } from "./colours.js";
import { percent } from "./numbers.js";

/** The test images that the page embeds. */
export class TestImages {
  constructor(images, shape, classes, bytes) {
    this.shape = shape;
    this.classes = classes;
    this.rows = images;
    this.bytes = bytes;
    this.size = shape[0] * shape[1] * shape[2];
  }

  pixels(place) {
    return this.bytes.subarray(place * this.size, (place + 1) * this.size);
  }

  /** Describe one in words. */
  describe(place) {
    const { index, label, predicted, probability } = this.rows;
    return (
      `Test image ${index[place]}, labelled ${this.classes[label[place]]}, predicted as ` +
      `${this.classes[predicted[place]]} with ${percent(probability[place])}`
    );
  }

  /** A thumbnail; with `choose` a button that calls it. */
  thumbnail(place, text, choose) {
    const element = document.createElement(choose ? "button" : "span");
    const canvas = document.createElement("canvas");
    canvas.className = "pixels";
    canvas.style.height = "48px";
    paintPixels(canvas, this.pixels(place), this.shape);
    const small = document.createElement("small");
    small.textContent = text;
    element.append(canvas, small);
    if (!choose) return element;
    element.type = "button";
    element.setAttribute("aria-label", `${this.describe(place)}. Continue drawing from it`);
    element.addEventListener("click", () => choose(place));
    return element;
  }
}

/**
 * Make the cells of a table react to mouse and keyboard.
 * @param buttons those with something in them: `true` and `predicted` of their data say where they are
 * @param count how many classes there are
 * @param show is called with the button that was pressed
 */
export function startCells(buttons, count, show) {
  const at = new Map(buttons.map((b) => [`${b.dataset.true},${b.dataset.predicted}`, b]));
  buttons.forEach((button, i) => {
    button.tabIndex = i === 0 ? 0 : -1;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show(button);
    });
    button.addEventListener("focus", () => {
      for (const other of buttons) other.tabIndex = other === button ? 0 : -1;
    });
    button.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const [dy, dx] = steps[event.key];
      let [y, x] = [Number(button.dataset.true) + dy, Number(button.dataset.predicted) + dx];
      for (; y >= 0 && x >= 0 && y < count && x < count; y += dy, x += dx)
        if (at.has(`${y},${x}`)) return at.get(`${y},${x}`).focus(); // empty cells are skipped
    });
  });
}

/** Let the cells of the page's table show their images. */
export function startConfusion(table, out, images, choose) {
  startCells([...table.querySelectorAll("button")], images.classes.length, (button) => {
    const [label, predicted] = [Number(button.dataset.true), Number(button.dataset.predicted)];
    const found = images.rows.cells.find((c) => c.true === label && c.predicted === predicted);
    const places = found ? found.images : [];
    const total = Number(button.textContent);
    const text = document.createElement("p");
    text.textContent =
      `True ${images.classes[label]}, predicted ${images.classes[predicted]}: ` +
      `${total === 1 ? "1 image" : `${total} images`}` +
      (places.length < total ? `, of which this page shows ${places.length || "none"}.` : ".") +
      (choose && places.length ? " Choose an image to continue drawing from it." : "");
    const row = document.createElement("div");
    row.className = "thumbnails";
    for (const place of places) {
      const probability = percent(images.rows.probability[place]);
      row.append(images.thumbnail(place, probability, choose));
    }
    out.replaceChildren(text, row);
  });
}
