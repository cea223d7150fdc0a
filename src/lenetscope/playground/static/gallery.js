/** The view "gallery": the test images by what the network takes them for, and as a map. */
import { startCells } from "../report/confusion.js";
import { button, element, roving } from "../report/dom.js";
import { percent } from "../report/numbers.js";
import { EmbeddingMap, received } from "./embedding.js";
import { page } from "./page.js";
import { ask } from "./server.js";
import { shortened, TEXTS } from "./texts.js";

const texts = TEXTS.gallery;
const PAGE = 24; // thumbnails at a time
const MANY = 14; // classes from which there is no room beside the matrix
const PAIRS = 5; // pairs of classes that have a button of their own

/** See the view's heading. */
class Gallery extends HTMLElement {
  connectedCallback() {
    this.map = new EmbeddingMap((images, place) => this.#put(images, place));
    page.on("view", () => this.#open());
    page.on("network", () => this.#open());
    page.on("weights", () => this.#note());
  }

  /** Show the run of the page, once the view is chosen. */
  async #open() {
    const { facts, view } = page;
    if (view !== "gallery" || !facts || this.facts === facts) return;
    this.facts = facts;
    this.map.clear();
    this.replaceChildren(element("p", "say", texts.opening));
    try {
      const found = await ask("confusion", { run: facts.run });
      if (this.facts === facts) this.#build(found);
    } catch (error) {
      if (this.facts !== facts) return;
      this.facts = null; // the next time that it is chosen, it is tried again
      if (!error.isLate) this.replaceChildren(element("p", "refusal", error.message));
    }
  }

  #build({ n, errors, counts, shares }) {
    Object.assign(this, { n, errors, mistake: 0 });
    this.images = element("div", "cell");
    this.chosen = element("div", "chosen", element("p", "fine", texts.hint));
    this.chosen.setAttribute("aria-live", "polite");
    this.note = element("p", "fine");
    this.replaceChildren(
      element("p", "say", texts.about(n, errors)),
      this.note,
      this.#tools(),
      this.chosen,
      element("h3", "", texts.matrix),
      element("p", "say", texts.cells),
      element("div", `matrix${this.facts.classes.length > MANY ? " many" : ""}`, this.#table(counts, shares), element("div", "", this.#pairs(counts), this.images)),
      this.map.element,
    );
    this.#note();
    if (errors) this.#list({ mistakes: true }, texts.worst(errors));
    else this.images.replaceChildren(element("p", "fine", texts.none));
    this.map.use(this.facts);
  }

  /** Say so when the page shows other weights than those that made these predictions. */
  #note() {
    if (this.note) this.note.textContent = page.epoch !== null || page.edits.size ? texts.other : "";
  }

  /** Buttons for single images: a random one, the next mistake, one by its number. */
  #tools() {
    const number = element("input");
    Object.assign(number, { type: "number", min: 0, max: this.n - 1, step: 1, inputMode: "numeric", required: true });
    const go = () => {
      if (number.checkValidity()) this.#one({ numbers: [Number(number.value)] });
      else this.chosen.replaceChildren(element("p", "", texts.numbers(this.n - 1)));
    };
    number.addEventListener("keydown", (event) => event.key === "Enter" && go());
    const step = () => this.#one({ mistakes: true, start: this.mistake++ % this.errors, count: 1 });
    const next = button("", step, texts.next);
    next.disabled = !this.errors;
    return element(
      "div",
      "row picks",
      button("", () => this.#one({ numbers: [Math.floor(Math.random() * this.n)] }), texts.random),
      next,
      element("label", "row", texts.number, number),
      button("", go, texts.show),
    );
  }

  /** Put the one image that is asked for onto the pad. */
  async #one(fields) {
    const found = await this.#ask(fields, "one", this.chosen);
    if (found) this.#put(received(found), 0, false);
  }

  /** Put an image onto the pad, and bring that into sight where it is not beside this view. */
  #put(images, place, goes = true) {
    page.load(images.pixels(place), texts.exact(images.describe(place)));
    const text = element("p", "", texts.onPad(images.describe(place)));
    this.chosen.replaceChildren(images.thumbnail(place, ""), text);
    const { top, bottom } = document.getElementById("pad").getBoundingClientRect();
    if (goes && (bottom < 40 || top > innerHeight - 40)) document.getElementById("desk").scrollIntoView();
  }

  /** Ask for images; what cannot be answered is said at a place, and null returned. */
  async #ask(fields, kind, place) {
    try {
      return await ask("images", { run: this.facts.run, ...fields }, `images ${kind}`);
    } catch (error) {
      if (!error.isLate) place.replaceChildren(element("p", "refusal", error.message));
      return null;
    }
  }

  #table(counts, shares) {
    const { classes } = this.facts;
    const most = Math.max(...shares.flat()) || 1;
    const head = (scope, name) => {
      const made = element("th", "", element("span", "", name));
      Object.assign(made, { scope, title: name });
      return made;
    };
    const corner = element("th", "corner", texts.corner);
    corner.scope = "col";
    const cells = [];
    const rows = counts.map((row, i) => {
      const filled = row.map((n, j) => {
        const cell = element("td", i === j ? "right" : n ? "wrong" : "");
        cell.style.setProperty("--share", shares[i][j] / most);
        if (!n) return cell;
        const made = element("button", "", String(n));
        made.type = "button";
        Object.assign(made.dataset, { true: i, predicted: j });
        made.setAttribute("aria-label", texts.cell(classes[i], classes[j], n));
        cells.push(made);
        cell.append(made);
        return cell;
      });
      return element("tr", "", head("row", classes[i]), ...filled);
    });
    startCells(cells, classes.length, (made) => {
      const [i, j] = [Number(made.dataset.true), Number(made.dataset.predicted)];
      this.#list({ cell: [i, j] }, texts.cell(classes[i], classes[j], counts[i][j]));
    });
    this.cells = cells;
    const longest = Math.max(...classes.map((name) => name.length));
    const table = element(
      "table",
      `confusion${longest > 3 ? " long" : ""}`,
      element("caption", "unseen", texts.caption),
      element("thead", "", element("tr", "", corner, ...classes.map((name) => head("col", name)))),
      element("tbody", "", ...rows),
    );
    const region = element("div", "scroll", table);
    Object.assign(region, { tabIndex: 0, role: "region", ariaLabel: texts.matrix });
    return region;
  }

  /** Buttons for the worst mistakes of all, and for the most confused pairs. */
  #pairs(counts) {
    const { classes } = this.facts;
    const cells = counts.flatMap((row, i) => row.map((n, j) => ({ i, j, n })));
    const confused = cells.filter(({ i, j, n }) => n && i !== j).sort((a, b) => b.n - a.n);
    const worst = () => {
      for (const cell of this.cells) cell.setAttribute("aria-pressed", "false");
      this.#list({ mistakes: true }, texts.worst(this.errors));
    };
    const all = button("chip", worst, texts.all);
    const pairs = confused.slice(0, PAIRS).map(({ i, j, n }) => {
      const press = () => this.cells.find((c) => c.dataset.true == i && c.dataset.predicted == j).click();
      const made = button("chip", press, texts.pair(shortened(classes[i]), shortened(classes[j]), n));
      made.title = texts.cell(classes[i], classes[j], n);
      return made;
    });
    const chips = confused.length ? [all, ...pairs] : [];
    roving(chips, () => chips.length);
    return element("div", "chips", ...chips);
  }

  /** Show a page of images under a heading. */
  async #list(fields, heading, start = 0) {
    const found = await this.#ask({ ...fields, start, count: PAGE }, "list", this.images);
    if (!found) return;
    const images = received(found);
    const { classes } = images;
    const name = (place) =>
      fields.mistakes
        ? texts.taken(shortened(classes[found.label[place]]), shortened(classes[found.predicted[place]]))
        : percent(found.probability[place]);
    const thumbnails = found.index.map((_, place) =>
      images.thumbnail(place, name(place), () => {
        for (const other of thumbnails) other.setAttribute("aria-pressed", other === thumbnails[place]);
        this.#put(images, place);
      }),
    );
    const row = element("div", "thumbnails", ...thumbnails);
    roving(thumbnails, () => Math.max(1, thumbnails.filter((t) => t.offsetTop === thumbnails[0].offsetTop).length));
    const turn = (to, text) => {
      const go = async () => {
        await this.#list(fields, heading, to);
        this.images.querySelector(".thumbnails button")?.focus({ preventScroll: true });
      };
      const made = button("", go, text);
      made.disabled = to < 0 || to >= found.total;
      return made;
    };
    const end = start + found.index.length;
    const pages = element(
      "div",
      "row pages",
      turn(start - PAGE, texts.before),
      element("span", "fine", texts.range(start + 1, end, found.total)),
      turn(start + PAGE, texts.after),
    );
    pages.hidden = found.total <= PAGE;
    const text = element("p", "", heading);
    text.setAttribute("aria-live", "polite");
    this.images.replaceChildren(text, row, pages, element("p", "fine", fields.mistakes ? texts.taking : texts.under));
  }
}
customElements.define("play-gallery", Gallery);
