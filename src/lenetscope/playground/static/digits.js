/** The view "digits": drawings are kept with a label, read by the shown network, and it is fine-tuned on them. */
import { decodeBytes, paintPixels } from "../report/colours.js";
import { button, element, roving } from "../report/dom.js";
import { percent } from "../report/numbers.js";
import { page } from "./page.js";
import { ask, base64, listen } from "./server.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.digits;

/** See above; `found` is the answer to the request "digits". */
class Digits extends HTMLElement {
  connectedCallback() {
    this.question = element("div", "row labels");
    this.question.setAttribute("role", "group");
    this.question.setAttribute("aria-label", texts.ask);
    this.hint = element("p", "fine");
    this.status = element("p", "row kept-status");
    this.status.setAttribute("role", "status");
    this.counts = element("div", "counts");
    this.chosen = element("div", "row chosen");
    this.drawings = element("div", "thumbnails kept");
    this.tuning = element("div", "tuning");
    this.append(element("h3", "", texts.ask), this.hint, this.question, this.status);
    this.append(this.counts, this.drawings, this.chosen, this.tuning);
    page.on("network", () => this.#begin());
    page.on("weights", () => this.#load());
    page.on("run", () => this.#offer());
    page.on("view", () => this.#load());
    addEventListener("keydown", (event) => this.#key(event));
  }

  get isShown() {
    return page.view === "digits" && page.facts !== null;
  }

  /** Offer the classes of another network. */
  #begin() {
    const { classes, digits } = page.facts;
    document.getElementById("tab-digits").textContent = digits ? texts.tab : texts.others;
    this.labels = classes.map((name, label) => {
      const made = button("label", () => this.#keep(label), name);
      made.title = texts.keep(name);
      return made;
    });
    roving(this.labels, () => this.labels.length);
    this.question.replaceChildren(...this.labels);
    const hasKeys = classes.every((name) => [...name].length === 1);
    this.hint.textContent = texts.about + (hasKeys ? ` ${texts.keys}` : "");
    this.shown = null;
  }

  /** Let the drawing be kept, if there is one. */
  #offer() {
    if (!this.isShown || !page.outputs) return;
    const { probabilities } = page.outputs;
    const best = probabilities.indexOf(Math.max(...probabilities));
    this.labels.forEach((each, k) => {
      each.setAttribute("aria-disabled", page.empty);
      each.classList.toggle("predicted", !page.empty && k === best);
    });
  }

  #key(event) {
    const { key, target } = event;
    if (!this.isShown || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (key === " " || target.closest("input, textarea, select, dialog")) return;
    const label = page.facts.classes.indexOf(key);
    if (label >= 0) this.#keep(label);
  }

  async #keep(label) {
    if (page.empty) return this.#say(texts.draw);
    if (this.isKeeping) return;
    this.isKeeping = true; // a second press would keep an empty pad
    const { run, classes } = page.facts;
    try {
      const { number } = await ask("keep", { run, label, pixels: base64(page.pixels) });
      this.#say(texts.kept(classes[label]), texts.undo, () => this.#delete({ label, number }));
      page.clear();
      await this.#load(true);
    } catch (error) {
      this.#say(error.message);
    } finally {
      this.isKeeping = false;
    }
  }

  async #delete({ label, number, pixels }) {
    const { run, classes } = page.facts;
    const drawing = pixels ? { label, number, pixels } : this.found?.drawings.find((each) => each.label === label && each.number === number);
    try {
      await ask("forget", { run, label, number });
      if (drawing) this.#say(texts.deleted(classes[label]), texts.undo, () => this.#restore(drawing));
      else this.#say(texts.deleted(classes[label]));
      await this.#load(true);
    } catch (error) {
      this.#say(error.message);
    }
  }

  async #restore({ label, number, pixels }) {
    try {
      await ask("keep", { run: page.facts.run, label, number, pixels });
      this.#say(texts.restored(page.facts.classes[label]));
      await this.#load(true);
    } catch (error) {
      this.#say(error.message);
    }
  }

  /** Say what happened, with a button that takes it back. */
  #say(text, name, press) {
    const hadFocus = this.contains(document.activeElement) && !this.question.contains(document.activeElement);
    this.status.replaceChildren(element("span", "", text));
    if (!name) return;
    const made = button("", press, name);
    this.status.append(made);
    if (hadFocus) made.focus(); // what was pressed is gone
  }

  /** Ask what the shown network makes of the drawings; only once for the same weights, unless they changed. */
  async #load(again = false) {
    if (!this.isShown) return;
    const { facts, epoch } = page;
    const shown = `${facts.run} ${epoch}`;
    if (shown === this.shown && !again) return;
    this.shown = shown;
    this.#follow();
    this.#offer();
    try {
      this.found = await ask("digits", { run: facts.run, epoch });
    } catch (error) {
      if (error.isLate) return;
      this.found = null;
      this.counts.replaceChildren(element("p", "", error.message));
    }
    this.#show();
  }

  #show() {
    const { found } = this;
    const rows = found?.drawings ?? [];
    const { classes } = page.facts;
    if (found) this.counts.replaceChildren(...(found.n ? this.#counted(found) : []));
    this.chosen.replaceChildren();
    this.thumbnails = rows.map((row) => {
      const canvas = element("canvas", "pixels");
      paintPixels(canvas, decodeBytes(row.pixels), page.facts.inputShape);
      const isRight = row.label === row.predicted;
      const caption = isRight ? classes[row.label] : texts.wrong(classes[row.label], classes[row.predicted]);
      const made = button("", () => this.#choose(row), canvas, element("small", isRight ? "" : "misread", caption));
      made.setAttribute("aria-label", this.#described(row));
      made.setAttribute("aria-pressed", false);
      return made;
    });
    const columns = () => this.thumbnails.filter((each) => each.offsetTop === this.thumbnails[0].offsetTop).length;
    roving(this.thumbnails, columns);
    this.drawings.replaceChildren(...this.thumbnails);
    this.#showTuning();
  }

  #counted({ n, all, new: unseen, drawings }) {
    const { classes } = page.facts;
    const [low, high] = all.interval.map((bound) => Math.round(100 * bound));
    const lines = [element("p", "prediction", texts.right(all.correct, all.n))];
    const more = [texts.interval(Math.round(100 * all.accuracy), low, high)];
    if (unseen) more.push(texts.unseen(unseen.correct, unseen.n));
    else if (drawings.some((each) => each.trained)) more.push(texts.seen);
    const isShort = classes.every((name) => [...name].length === 1);
    more.push(...all.confused.slice(0, 2).map((row) => texts.confused(row.n, row.true, row.predicted, isShort)));
    if (n > drawings.length) more.push(texts.some(drawings.length, n));
    lines.push(element("p", "", more.join(" ")));
    return lines;
  }

  #described(row) {
    const { classes } = page.facts;
    const text = texts.described(classes[row.label], classes[row.predicted], percent(row.probability));
    return row.trained ? `${text} ${texts.trained}` : text;
  }

  /** Offer what can be done with a drawing. */
  #choose(row) {
    this.thumbnails.forEach((each, i) => each.setAttribute("aria-pressed", this.found.drawings[i] === row));
    this.chosen.replaceChildren(
      element("span", "", this.#described(row)),
      button("", () => page.load(decodeBytes(row.pixels), texts.loaded), texts.load),
      button("", () => this.#delete(row), texts.delete),
    );
  }

  /** Hear of a fine-tuning, this page's or that of another. */
  #follow() {
    if (this.isFollowing) return;
    this.isFollowing = true;
    listen("fine-tune", async (told) => {
      this.told = told;
      const isMine = this.isMine && told.state === "done";
      if (told.state !== "training") this.isMine = false;
      if (isMine) await this.#open(told.run);
      this.#showTuning();
    });
  }

  async #open(run) {
    try {
      await page.open(run);
    } catch (error) {
      this.#say(error.message);
    }
  }

  async #fineTune() {
    this.isMine = true;
    try {
      await ask("fine-tune", { run: page.facts.run, epoch: page.epoch });
    } catch (error) {
      this.isMine = false;
      this.told = { state: "failed", error: error.message };
      this.#showTuning();
    }
  }

  #showTuning() {
    const { told, found } = this;
    if (told?.state === "training" && this.bar?.isConnected) {
      this.bar.value = told.done;
      this.progress.textContent = texts.progress(told);
      return;
    }
    const parts = [element("h3", "", texts.tune)];
    if (told?.state === "training") {
      this.bar = element("progress");
      Object.assign(this.bar, { max: 1, value: told.done });
      this.bar.setAttribute("aria-label", texts.tune);
      this.progress = element("span", "fine", texts.progress(told));
      parts.push(element("div", "row", this.bar, this.progress));
    } else if (found) {
      const missing = found.least - found.n;
      parts.push(element("p", "say", texts.tuning));
      if (missing > 0) parts.push(element("p", "", texts.missing(missing)));
      else parts.push(button("start", () => this.#fineTune(), texts.start(page.facts.run)));
    }
    if (told?.state === "failed") parts.push(element("p", "misread", told.error));
    if (told?.state === "done") parts.push(...this.#result(told));
    this.tuning.replaceChildren(...parts);
  }

  /** What a fine-tuning made better, or worse. */
  #result(told) {
    const number = ({ what, n }, count) => (what === "test" ? percent(count / n, 2) : texts.of(count, n));
    const cell = (tag, scope, text) => {
      const made = element(tag, "", text);
      if (scope) made.scope = scope;
      return made;
    };
    const head = element("tr", "", ...texts.columns.map((text) => cell("th", "col", text)));
    const rows = told.rows.map((row) =>
      element(
        "tr",
        "",
        cell("th", "row", texts.rows[row.what]),
        cell("td", "", number(row, row.before)),
        cell("td", "", number(row, row.after)),
      ),
    );
    const table = element("table", "before-after", element("thead", "", head), element("tbody", "", ...rows));
    const other = page.facts.run === told.run ? told.from : told.run;
    const lines = [texts.result(told)];
    if (!told.heldOut) lines.push(texts.noneHeldOut);
    return [
      element("p", "", lines.join(" ")),
      table,
      element("p", "fine", texts.saved(told.folder)),
      button("", () => this.#open(other).then(() => this.#showTuning()), texts.show(other)),
    ];
  }
}
customElements.define("play-digits", Digits);
