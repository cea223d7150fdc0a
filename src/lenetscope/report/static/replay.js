/** Replays how a value comes about, step by step: by itself, by two buttons, or by a slider. */
import { button, drawn, element } from "./dom.js";
import { shownNumber } from "./numbers.js";

const PACE = 650; // milliseconds per step
const LONGEST = 9000; // milliseconds for all steps
const ICONS = { play: "M3 1.5v13l11-6.5z", pause: "M3 1.5h4v13H3zM9 1.5h4v13H9z", back: "M10.5 2.5 5 8l5.5 5.5", on: "M5.5 2.5 11 8l-5.5 5.5" };

/** A picture of what a button does. */
function icon(name) {
  const kind = `icon ${name === "back" || name === "on" ? "stroke" : ""}`;
  const attributes = { viewBox: "0 0 16 16", class: kind, "aria-hidden": "true" };
  return drawn("svg", attributes, drawn("path", { d: ICONS[name] }));
}

/**
 * The steps of one value, for `Replay.use`: elements that are marked one after the other.
 * @param steps {marks, text, total} each: the elements, what happens, and the amount that there is then, as text
 */
export function markingTape(steps) {
  const totals = steps.map((step) => shownNumber(step.total));
  const [low, high] = [Math.min(0, ...totals), Math.max(0, ...totals)];
  const part = (value) => (high > low ? (value - low) / (high - low) : 0);
  return {
    length: steps.length,
    show(at) {
      const whole = at >= steps.length - 1;
      steps.forEach(({ marks }, i) => {
        for (const mark of marks) {
          mark.classList.toggle("now", i === at);
          mark.classList.toggle("later", i > at);
        }
      });
      const { text, total } = steps[at];
      return { text, total, from: part(0), to: part(totals[at]), isNegative: totals[at] < 0, whole };
    },
    clear() {
      for (const { marks } of steps) for (const mark of marks) mark.classList.remove("now", "later");
    },
  };
}

/** Buttons, a slider and what happens at the step that is shown. */
export class Replay {
  #tape = null;
  #frame = 0;

  constructor() {
    this.toggle = button("", () => (this.playing ? this.pause() : this.play()), icon("play"));
    this.back = button("", () => this.#by(-1), icon("back"));
    this.on = button("", () => this.#by(1), icon("on"));
    this.back.setAttribute("aria-label", "One step back");
    this.on.setAttribute("aria-label", "One step on");
    this.slider = element("input");
    Object.assign(this.slider, { type: "range", min: 0 });
    this.slider.setAttribute("aria-label", "Step");
    this.slider.addEventListener("input", () => {
      this.pause();
      this.go(Number(this.slider.value));
    });
    this.count = element("span", "fine count");
    this.slide = button("slide quiet", () => this.onSlide?.(), "Slide the window");
    this.slide.setAttribute("aria-pressed", "false");
    this.text = element("span", "happens");
    this.total = element("b", "total");
    this.bar = element("i");
    this.track = element("span", "track", this.bar);
    this.track.setAttribute("aria-hidden", "true");
    this.line = element("p", "line", this.text, this.track, this.total);
    const controls = element("div", "controls", this.toggle, this.back, this.on, this.slider, this.count, this.slide);
    this.element = element("div", "replay", controls, this.line);
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", "Replay");
    this.#label();
  }

  get playing() {
    return this.#frame !== 0;
  }

  /** Where it is: the number of a step; the last is shown when nothing was replayed. */
  get at() {
    return Number(this.slider.value);
  }

  /**
   * Take another tape, at its end, and stop.
   * @param tape {length, show(at) returning {text, total, from, to, isNegative}, clear()}
   */
  use(tape) {
    this.pause();
    this.#tape = tape;
    this.element.hidden = tape.length < 2;
    if (this.element.hidden) return;
    this.slider.max = tape.length - 1;
    this.slider.value = tape.length - 1;
    this.#count();
    this.line.hidden = true;
    tape.clear();
  }

  /** Show a step. */
  go(at) {
    this.slider.value = Math.max(0, Math.min(this.#tape.length - 1, at));
    const { text, total = "", from, to, isNegative } = this.#tape.show(this.at);
    this.line.hidden = false;
    this.text.textContent = text;
    this.total.textContent = total && `= ${total}`;
    this.track.hidden = from === undefined;
    if (from !== undefined) {
      this.bar.style.left = `${(100 * Math.min(from, to)).toFixed(2)}%`;
      this.bar.style.width = `${(100 * Math.abs(to - from)).toFixed(2)}%`;
      this.bar.className = isNegative ? "minus" : "";
    }
    this.#count(text);
  }

  /** Replay from the start, or from where it was stopped. */
  play() {
    const { length } = this.#tape;
    const pace = Math.min(PACE, LONGEST / length);
    const first = this.at >= length - 1 ? 0 : this.at;
    const start = performance.now() - first * pace;
    const tick = (now) => {
      const at = Math.max(first, Math.floor((now - start) / pace));
      if (at !== this.at || at === first) this.go(at);
      this.#frame = at < length - 1 ? requestAnimationFrame(tick) : 0;
      if (!this.playing) this.#label();
    };
    this.go(first);
    this.#frame = requestAnimationFrame(tick);
    this.#label();
  }

  pause() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#label();
  }

  #by(step) {
    this.pause();
    // at the end without having been replayed, the first step forward is the first of all
    this.go(step > 0 && this.at >= this.#tape.length - 1 ? 0 : this.at + step);
  }

  #label() {
    this.toggle.replaceChildren(icon(this.playing ? "pause" : "play"));
    this.toggle.setAttribute("aria-label", this.playing ? "Pause" : "Replay how it comes about");
    this.line.setAttribute("aria-live", this.playing ? "off" : "polite");
  }

  #count(text = "") {
    this.count.textContent = `${this.at + 1} of ${this.#tape.length}`;
    this.slider.setAttribute("aria-valuetext", `${this.count.textContent}${text && `: ${text}`}`);
  }
}
