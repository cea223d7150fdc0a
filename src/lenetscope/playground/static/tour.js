/** A tour of six steps for a first visit: from a pixel to the probabilities, on the drawing that is there. */
import { button, element } from "../report/dom.js";
import { page } from "./page.js";
import { STEPS } from "./steps.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.tour;
const KEY = "lenetscope-tour"; // in localStorage, where that is allowed
const PACE = 70; // milliseconds per place of a window that moves

/** Whether the tour was begun before. */
function wasSeen() {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

function rememberSeen() {
  try {
    localStorage.setItem(KEY, "seen");
  } catch {
    // storage is refused: the tour is offered again the next time
  }
}

/** The button that offers the tour, and the card that it leads. */
export class Tour {
  #at = -1;
  #steps = [];
  #moving = 0;

  /**
   * @param place where the button is put
   * @param hover shows values, frames and lines
   * @param choose shows a view
   */
  constructor(place, hover, choose) {
    Object.assign(this, { hover, choose });
    this.offer = button("offer", () => this.start(), texts.start);
    if (!wasSeen()) {
      this.offer.classList.add("invites");
      this.offer.textContent = texts.invite;
    }
    place.prepend(this.offer);
    this.#makeCard();
    page.on("network", () => this.end());
    page.on("view", () => page.view !== "layers" && this.end());
    page.on("run", () => this.isOn && this.#fill());
    addEventListener("keydown", (event) => {
      if (!this.isOn || document.querySelector("dialog[open]")) return;
      if (event.key === "Escape") this.end();
    });
    const follow = () => this.isOn && this.#put();
    addEventListener("scroll", follow, { capture: true, passive: true });
    addEventListener("resize", follow);
  }

  get isOn() {
    return this.#at >= 0;
  }

  /** Begin with the first step. */
  start() {
    rememberSeen();
    this.offer.classList.remove("invites");
    this.offer.textContent = texts.start;
    this.choose("layers");
    if (page.empty) page.greet();
    this.#steps = STEPS.filter((step) => step(this.hover.maps));
    this.dots.replaceChildren(...this.#steps.map(() => element("i")));
    this.hover.pinned = true;
    document.body.classList.add("touring");
    this.card.hidden = false;
    this.go(0);
  }

  /** Show a step; past the last one the tour ends. */
  go(at) {
    if (at >= this.#steps.length) return this.end();
    this.#at = Math.max(0, at);
    this.#fill();
    const { row, index } = this.shown;
    const target = row.buttons[Math.floor(index / (row.width * row.height))];
    target.scrollIntoView({ block: "center", inline: "nearest" });
    this.#put();
    this.card.focus({ preventScroll: true });
    return null;
  }

  /** Leave the tour at any moment. */
  end() {
    if (!this.isOn) return;
    this.#at = -1;
    this.#stop();
    this.card.hidden = true;
    document.body.classList.remove("touring");
    this.hover.pinned = false;
    this.hover.hide();
    this.offer.focus({ preventScroll: true });
  }

  #makeCard() {
    this.heading = element("h2");
    this.heading.id = "tour-heading";
    this.text = element("p");
    this.text.id = "tour-text";
    this.dots = element("span", "dots");
    this.dots.setAttribute("aria-hidden", "true");
    this.count = element("span", "unseen");
    this.skip = button("quiet", () => this.end(), texts.skip);
    this.back = button("", () => this.go(this.#at - 1), texts.back);
    this.next = button("primary", () => this.go(this.#at + 1), texts.next);
    const row = element("div", "row", this.skip, this.dots, this.back, this.next);
    this.card = element("div", "tour-card", this.count, this.heading, this.text, row);
    this.card.hidden = true;
    this.card.tabIndex = -1;
    for (const [name, value] of [["role", "dialog"], ["aria-labelledby", "tour-heading"], ["aria-describedby", "tour-text"]])
      this.card.setAttribute(name, value);
    this.card.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight") this.go(this.#at + 1);
      else if (event.key === "ArrowLeft") this.go(this.#at - 1);
    });
    document.body.append(this.card);
  }

  /** Put the numbers of the drawing into the card, and show the value that they are of. */
  #fill() {
    this.#stop();
    this.shown = this.#steps[this.#at](this.hover.maps);
    const { row, index, words, path } = this.shown;
    [this.heading.textContent, this.text.textContent] = words;
    this.count.textContent = texts.count(this.#at + 1, this.#steps.length);
    this.back.disabled = this.#at === 0;
    this.next.textContent = this.#at === this.#steps.length - 1 ? texts.end : texts.next;
    [...this.dots.children].forEach((dot, i) => dot.classList.toggle("now", i === this.#at));
    this.hover.show(row.number, index);
    if (path && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.#move(row, index, path);
  }

  /** Let the window move over its input, and come to rest where the text says. */
  #move(row, index, path) {
    const places = [...path, index];
    const each = Math.max(1, Math.ceil(path.length / 100)); // of large maps not every place
    let at = 0;
    this.#moving = setInterval(() => {
      this.hover.show(row.number, places[Math.min(at, places.length - 1)]);
      if (at >= places.length - 1) this.#stop();
      at += each;
    }, PACE);
  }

  #stop() {
    clearInterval(this.#moving);
  }

  /** Beside the value: under its row, where the lines do not come from; on a narrow page the style sheet decides. */
  #put() {
    const { row, index } = this.shown;
    const map = row.buttons[Math.floor(index / (row.width * row.height))].getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.card;
    const { clientWidth, clientHeight } = document.documentElement;
    const x = Math.max(8, Math.min(clientWidth - width - 8, map.left - 24));
    const y = Math.max(8, Math.min(clientHeight - height - 8, map.bottom + 14));
    this.card.style.setProperty("--x", `${x.toFixed(1)}px`);
    this.card.style.setProperty("--y", `${y.toFixed(1)}px`);
  }
}
