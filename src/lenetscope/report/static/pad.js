/** A pad to draw on with mouse, finger, pen or keyboard; what was done can be undone. */
import { paintPixels } from "./colours.js";

const PEN = 0.08; // width, as a fraction of the pad's longer side
const RUBBER = 1.8; // width of the eraser, in widths of the pen
const KEY_STEP = 0.03; // as a fraction of the pad's width, per key press
const STATES = 20; // that can be gone back to: 6 MB

/** The pad: `colour` is that of the pen, `size` a factor of its width, `erases` whether it erases. */
export class Pad {
  /**
   * @param help says where the pen is, when it is moved by keys
   * @param onStroke is called with each piece of a stroke
   * @param onUndo is called when the keys to undo are pressed
   */
  constructor(canvas, help, onStroke, onUndo) {
    Object.assign(this, { canvas, help, onStroke, onUndo });
    Object.assign(this, { colour: "#ffffff", paper: "#000000", size: 1, erases: false });
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.past = [];
    this.#listen();
  }

  get width() {
    return this.canvas.width;
  }

  get height() {
    return this.canvas.height;
  }

  /** Width of the pen, in pixels of the pad. */
  get pen() {
    return PEN * this.size * Math.max(this.width, this.height);
  }

  /** Whether there is something to undo. */
  get canUndo() {
    return this.past.length > 0;
  }

  /** Begin empty, with the proportions of some images. */
  fit([, height, width]) {
    const longest = Math.max(width, height);
    this.canvas.width = Math.round((280 * width) / longest);
    this.canvas.height = Math.round((280 * height) / longest);
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.canvas.style.setProperty("--shape", width / height);
    this.#fill("#000000");
    this.past = [];
  }

  /** Cover everything with a colour; black is an empty pad. */
  fill(colour) {
    this.#remember();
    this.#fill(colour);
  }

  /**
   * Put an image onto the pad, to be drawn on.
   * @param text what it is; the network is given exactly its pixels until something is drawn
   */
  load(pixels, shape, text) {
    this.#remember();
    const small = document.createElement("canvas");
    paintPixels(small, pixels, shape);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small, 0, 0, this.width, this.height);
    this.exact = { pixels, text };
  }

  /** Go back to what was on the pad before the last stroke, or before it was cleared, filled or loaded. */
  undo() {
    const state = this.past.pop();
    if (!state) return false;
    this.context.putImageData(state.picture, 0, 0);
    Object.assign(this, { exact: state.exact, paper: state.paper, place: null, greeting: false });
    return true;
  }

  /** Draw a piece of a stroke, places in pixels of the pad. */
  line(from, to, width = 1) {
    const { context } = this;
    context.strokeStyle = this.erases ? this.paper : this.colour;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = this.pen * width * (this.erases ? RUBBER : 1);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    this.exact = null;
    this.onStroke();
  }

  #fill(colour) {
    this.context.fillStyle = colour;
    this.context.fillRect(0, 0, this.width, this.height);
    Object.assign(this, { exact: null, place: null, greeting: false, paper: colour });
  }

  /** Keep what is on the pad, before it is changed; a greeting is wiped off first. */
  #remember() {
    if (this.greeting) this.#fill("#000000");
    const picture = this.context.getImageData(0, 0, this.width, this.height);
    this.past.push({ picture, exact: this.exact, paper: this.paper });
    if (this.past.length > STATES) this.past.shift();
  }

  #listen() {
    const { canvas } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [
        ((event.clientX - box.left) * canvas.width) / box.width,
        ((event.clientY - box.top) * canvas.height) / box.height,
      ];
    };
    // half of the full pressure is a stroke of the usual width
    const width = (event) => (event.pointerType === "pen" && event.pressure ? 0.4 + 1.2 * event.pressure : 1);
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 0 && event.button !== 5) return; // 5 is the eraser of a pen
      event.preventDefault();
      canvas.classList.add("pointed"); // not moved by keys
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.#remember();
      last = at(event);
      this.#pull(event, last, last, width(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) {
        const next = at(each);
        this.#pull(event, last, next, width(each));
        last = next;
      }
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (last = null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Draw with a pointer, of which one end may be an eraser. */
  #pull(event, from, to, width) {
    const { erases } = this;
    this.erases ||= (event.buttons & 32) > 0;
    this.line(from, to, width);
    this.erases = erases;
  }

  /** Arrow keys move the pen; Space lowers and lifts it. */
  #key(event) {
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
      event.preventDefault();
      event.stopPropagation();
      this.onUndo();
      return;
    }
    const step = KEY_STEP * this.width;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const here = this.place ?? { at: [this.width / 2, this.height / 4], down: false };
    if (event.key === " ") {
      here.down = !here.down;
      if (here.down) {
        this.#remember();
        this.line(here.at, here.at);
      }
    } else if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      const next = [
        Math.max(0, Math.min(this.width, here.at[0] + dx)),
        Math.max(0, Math.min(this.height, here.at[1] + dy)),
      ];
      if (here.down) this.line(here.at, next);
      here.at = next;
    } else return;
    event.preventDefault();
    this.canvas.classList.remove("pointed");
    this.place = here;
    const x = Math.round((100 * here.at[0]) / this.width);
    const y = Math.round((100 * here.at[1]) / this.height);
    this.help.textContent =
      `Pen ${here.down ? "down" : "up"}, ${x} % from the left, ${y} % from the top. ` +
      "Arrow keys move it, Space lowers and lifts it.";
  }
}
