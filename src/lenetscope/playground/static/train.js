/** The view "train": settings, and the training that goes on with its curves, filters and controls. */
import { button, element } from "../report/dom.js";
import { percent, plainNumber } from "../report/numbers.js";
import { curves } from "./training-curves.js";
import { FirstFilters } from "./first_filters.js";
import { live } from "./live.js";
import { page } from "./page.js";
import { ask } from "./server.js";
import { Settings } from "./settings.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.train;
const short = (value) => String(Number(value.toPrecision(3)));

/** See the view's heading. */
class Train extends HTMLElement {
  #settings = null;
  #wanted = true; // whether the settings are to be shown although there is a training to look at
  #offering = null; // a promise while the settings are asked for
  #phase = null;
  #begun = false; // whether this page has just begun a training

  connectedCallback() {
    this.#build();
    page.on("view", () => this.#show());
    page.on("weights", () => this.#showFilters());
    live.addEventListener("change", () => this.#show());
  }

  #build() {
    this.error = element("p", "trouble-line");
    this.error.setAttribute("role", "alert");
    this.start = Object.assign(element("button", "primary", texts.start), { type: "submit" });
    this.fields = element("div");
    this.unfinished = element("div", "unfinished");
    this.form = element(
      "form",
      "",
      element("h3", "", texts.heading),
      element("p", "say", texts.about),
      this.unfinished,
      this.fields,
      element("p", "fine", texts.seed),
      element("div", "row", this.start, this.error),
    );
    this.form.noValidate = true; // the server says what is wrong, of every field alike
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#settings) this.#begin("training-start", this.#settings.chosen);
    });

    this.heading = element("h3");
    this.heading.setAttribute("aria-live", "polite");
    this.about = element("p", "fine");
    this.progress = element("progress");
    this.progress.setAttribute("aria-label", texts.progress);
    this.now = element("p", "say");
    this.pause = button("", () => this.#order(live.state.phase === "paused" ? "continue" : "pause"));
    this.stop = button("", () => this.#order("stop"), texts.stop);
    this.again = button("", () => this.#again(), texts.again);
    this.resume = button("", () => this.#begin("training-resume", { run: live.state.run }));
    this.open = button("", () => page.open(live.state.run), texts.show);
    this.follow = Object.assign(element("input"), { type: "checkbox" });
    this.follow.addEventListener("change", () => (live.follows = this.follow.checked));
    this.followed = element("label", "check", this.follow, ` ${texts.live}`);
    this.lr = Object.assign(element("input"), { type: "number", step: "any", min: 0, inputMode: "decimal" });
    this.lrHelp = element("p", "fine");
    const setLr = (event) => {
      event.preventDefault();
      this.#order("rate", Number(this.lr.value));
    };
    this.rate = element(
      "form",
      "rate",
      element("label", "row", element("span", "", texts.lr), this.lr),
      Object.assign(element("button", "", texts.setLr), { type: "submit" }),
      this.lrHelp,
    );
    this.rate.noValidate = true;
    this.rate.addEventListener("submit", setLr);
    this.trouble = element("p", "trouble-line");
    this.trouble.setAttribute("role", "alert");
    this.curves = element("div");
    this.filters = new FirstFilters();
    this.notes = element("p", "fine");
    this.rows = element("tbody");
    const columns = element("tr", "", ...texts.columns.map((name) => element("th", "n", name)));
    this.table = element(
      "details",
      "",
      element("summary", "", texts.epochs),
      element("div", "scroll", element("table", "", element("thead", "", columns), this.rows)),
    );
    const controls = [this.pause, this.stop, this.again, this.resume, this.open, this.followed];
    this.watched = element(
      "div",
      "",
      ...[this.heading, this.about, this.progress, this.now, element("div", "row", ...controls), this.trouble],
      ...[this.rate, this.curves, this.filters.element, this.notes, this.table],
    );
    this.append(this.watched, this.form);
  }

  /** Show what is known now, if this is the view that is chosen. */
  async #show() {
    const { state, isActive } = live;
    const phase = state?.phase ?? null;
    if (this.#phase !== phase) {
      if (isActive) this.#wanted = false;
      if (state?.opened) {
        this.#settings = null; // there is another run to begin with
        this.fields.replaceChildren();
      } else if (!isActive) this.#wanted = true;
      this.#phase = phase;
    }
    if (page.view !== "train") return;
    this.watched.hidden = !state;
    this.form.hidden = isActive || (state !== null && !this.#wanted);
    if (state) this.#watch(state, isActive);
    if (!this.form.hidden && !this.#settings) await (this.#offering ??= this.#offer());
  }

  #watch(state, isActive) {
    const { phase, now, epochs, steps, history } = state;
    const isRunning = phase === "training" || phase === "paused";
    const obeys = isRunning || phase === "starting";
    const heading = [state.run, texts.phases[phase]].filter(Boolean).join(": ");
    if (this.heading.textContent !== heading) this.heading.textContent = heading; // said once
    this.about.textContent = state.about ? texts.network(state.about, state.parameters) : "";
    this.progress.hidden = !isActive;
    if (epochs && phase !== "starting") this.progress.value = Math.max(now?.at ?? 0, history.length) / epochs;
    else this.progress.removeAttribute("value");
    this.now.textContent = this.#said(state);
    this.pause.textContent = phase === "paused" ? texts.continue : texts.pause;
    this.pause.hidden = this.stop.hidden = !obeys;
    this.rate.hidden = !isRunning;
    this.again.hidden = isActive || this.#wanted;
    this.resume.hidden = !(phase === "stopped" || phase === "failed") || !state.run;
    this.resume.textContent = texts.resume(state.run);
    this.open.hidden = isActive || !state.opened || page.facts?.run === state.run;
    this.followed.hidden = !isActive || !state.weights;
    this.follow.checked = live.follows;
    this.trouble.textContent = phase === "failed" ? state.error : this.asked ?? "";
    if (now?.lr !== undefined) {
      if (this.lr !== document.activeElement) this.lr.value = short(now.plannedLr);
      this.lrHelp.textContent = texts.lrHelp(short(now.lr));
    }
    this.curves.replaceChildren(...curves(state, live.former));
    this.#showFilters();
    this.notes.textContent = this.#noted(state);
    this.table.hidden = !history.length;
    this.rows.replaceChildren(...history.map((row) => this.#row(row)));
    if (isActive && steps) this.asked = "";
    if (this.#begun && !this.pause.hidden) {
      this.#begun = false; // the form has gone, with the button that was pressed
      this.pause.focus();
    }
  }

  #said(state) {
    const { phase, now, epochs, steps, history, accuracy } = state;
    if (phase === "starting") return texts.starting;
    if (phase === "finished") return texts.result(percent(accuracy, 2));
    if (!now?.at) return history.length ? texts.done(history.length, epochs) : "";
    const place = texts.place(now.epoch + 1, epochs, now.step, steps);
    const speed = now.speed ? texts.speed(Math.round(now.speed)) : "";
    return `${place[0].toUpperCase()}${place.slice(1)}. ${texts.now(plainNumber(now.loss), percent(now.accuracy))} ${speed}`;
  }

  #noted({ recipe, history, lrChanges, unseen }) {
    const notes = [];
    if (recipe.label_smoothing && history.length) notes.push(texts.smoothed);
    if (!recipe.holdout && history.length) notes.push(texts.onTest);
    if (lrChanges?.length)
      notes.push(texts.lrChanges(lrChanges.map(({ lr, epoch, step }) => texts.lrChange(lr, epoch + 1, step))));
    if (unseen) notes.push(texts.unseen(unseen));
    return notes.join(" ");
  }

  #row(row) {
    const loss = (value) => (value === null ? "" : value.toFixed(4));
    const accuracy = (value) => (value === null ? "" : percent(value, 2));
    const cells = [loss(row.train_loss), accuracy(row.train_accuracy), loss(row.valid_loss)];
    cells.push(accuracy(row.valid_accuracy), short(row.lr), row.train_seconds.toFixed(1));
    return element("tr", "", element("th", "n", String(row.epoch)), ...cells.map((text) => element("td", "n", text)));
  }

  #showFilters() {
    if (page.view === "train") this.filters.show(live.isShown && live.state ? page : null);
  }

  /** Offer recipes, and runs to resume. */
  async #offer() {
    try {
      const known = await ask("training-settings");
      this.#settings = new Settings(this.fields, known);
      const names = known.bases.map(({ name }) => name);
      const last = `run ${live.state?.run}`;
      const shown = known.bases.find(({ name }) => name === `run ${page.facts?.run}`);
      const usual = !shown || shown.values.data === known.bases[0].values.data ? known.bases[0] : shown;
      this.#settings.choose(names.includes(last) ? last : usual.name);
      this.#offerUnfinished(known.unfinished.filter(({ run }) => run !== live.state?.run)); // which has its own button
      this.error.textContent = "";
    } catch (error) {
      this.error.textContent = error.message;
    } finally {
      this.#offering = null;
    }
  }

  #offerUnfinished(runs) {
    const items = runs.map(({ run, done, epochs }) =>
      element(
        "li",
        "row",
        button("", () => this.#begin("training-resume", { run }), texts.resume(run)),
        element("span", "fine", texts.done(done, epochs)),
      ),
    );
    const list = element("ul", "", ...items);
    this.unfinished.replaceChildren(...(items.length ? [element("h4", "", texts.unfinished), list] : []));
  }

  async #begin(request, fields) {
    this.error.textContent = "";
    try {
      await ask(request, fields);
      this.#begun = true;
      live.follows = true;
    } catch (error) {
      if (!error.isLate) (this.form.hidden ? this.trouble : this.error).textContent = error.message;
    }
  }

  async #order(order, lr) {
    try {
      await ask("training-order", lr === undefined ? { order } : { order, lr });
      this.asked = "";
    } catch (error) {
      this.asked = error.isLate ? "" : error.message;
      this.trouble.textContent = this.asked;
    }
  }

  /** Show the settings again, as this training had them. */
  async #again() {
    this.#wanted = true;
    await this.#show();
    this.form.scrollIntoView({ block: "start" });
    this.#settings?.focus();
  }
}
customElements.define("play-train", Train);
