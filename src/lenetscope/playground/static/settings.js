/** The settings of a training: a recipe to begin with, and all its fields. */
import { element } from "../report/dom.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.train;

/** How each kind of field is shown, read, and set. */
const KINDS = {
  choice: {
    make: ({ choices }) => element("select", "", ...choices.map((name) => new Option(name, name))),
    read: (input) => input.value,
  },
  switch: {
    make: () => Object.assign(element("input"), { type: "checkbox" }),
    read: (input) => input.checked,
    write: (input, value) => (input.checked = value),
  },
  numbers: {
    make: () => Object.assign(element("input"), { type: "text", spellcheck: false }),
    read: (input) => input.value.split(/[\s,]+/).filter(Boolean).map(asNumber),
    write: (input, value) => (input.value = value.join(", ")),
  },
  number: { make: () => numberInput("any"), read: (input) => asNumber(input.value) },
  whole: { make: () => numberInput("1"), read: (input) => asNumber(input.value) },
};

function numberInput(step) {
  return Object.assign(element("input"), { type: "number", step, inputMode: step === "1" ? "numeric" : "decimal" });
}

/** What is typed, as a number where it is one; the server says what is wrong with it else. */
function asNumber(text) {
  return text.trim() && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** The form; `place` is filled with it. */
export class Settings {
  #inputs = new Map();

  /** @param known what the request "training-settings" answers */
  constructor(place, known) {
    this.known = known;
    this.base = element("select", "", ...known.bases.map(({ name }) => new Option(name, name)));
    this.summary = element("span", "fine");
    this.base.addEventListener("change", () => this.choose(this.base.value));
    const first = known.fields.filter((each) => each.first).map((each) => this.#field(each));
    const groups = Object.entries(texts.groups).map(([group, title]) => {
      const others = known.fields.filter((each) => !each.first && each.group === group);
      const grid = element("div", "fields", ...others.map((each) => this.#field(each)));
      return others.length ? element("fieldset", "", element("legend", "", title), grid) : "";
    });
    const base = element("label", "field wide-field", element("span", "name", texts.base), this.base, this.summary);
    const more = element("details", "", element("summary", "", texts.more), ...groups);
    place.replaceChildren(base, element("div", "fields", ...first), more);
  }

  #field(field) {
    const { make, read, write = (input, value) => (input.value = value) } = KINDS[field.kind];
    const input = make(field);
    input.name = field.name;
    const name = element("span", "name", texts.field(field.name));
    const label = element("label", "field", name, input);
    if (field.help !== texts.field(field.name)) label.append(element("span", "fine", field.help));
    const kept = { input, label, read: () => read(input), write: (value) => write(input, value) };
    input.addEventListener("input", () => this.#mark(field.name));
    this.#inputs.set(field.name, kept);
    return label;
  }

  /** Mark a field whose value is not that of the recipe. */
  #mark(name) {
    const { label, read } = this.#inputs.get(name);
    label.classList.toggle("changed", String(read()) !== String(this.values[name]));
  }

  /** Set all fields as a recipe has them. */
  choose(name) {
    const found = this.known.bases.find((each) => each.name === name) ?? this.known.bases[0];
    this.base.value = found.name;
    this.values = found.values;
    this.summary.textContent = found.summary;
    for (const [field, { write }] of this.#inputs) {
      write(found.values[field]);
      this.#mark(field);
    }
  }

  /** What differs from the recipe, as the request "training-start" takes it. */
  get chosen() {
    const fields = {};
    for (const [name, { read }] of this.#inputs) {
      const value = read();
      if (String(value) !== String(this.values[name])) fields[name] = value;
    }
    return { base: this.base.value, fields };
  }

  focus() {
    this.#inputs.values().next().value.input.focus();
  }
}
