/** What the terms of a value are shown in: grids of numbers, sums line by line, one button per map. */
import { button, element, roving } from "./dom.js";
import { decimal, decimals } from "./numbers.js";

/** A paragraph. */
export const say = (...parts) => element("p", "", ...parts);
/** Numbers as text. */
export const each = (values, digits = decimals(values)) => values.map((value) => decimal(value, digits));

/** Numbers in a grid as wide as the kernel; those outside the input are hatched. */
export function grid(name, texts, values, taps, columns, colours, winner = null) {
  const largest = Math.max(...values.map(Math.abs)) || 1;
  const body = element("tbody");
  texts.forEach((text, i) => {
    if (i % columns === 0) body.append(element("tr"));
    const cell = element("td", taps[i].inside ? "" : "outside", text);
    if (taps[i].inside) colourCell(cell, colours, values[i] / largest);
    if (winner && taps[i] === winner) cell.classList.add("winner");
    body.lastChild.append(cell);
  });
  return element("table", "grid", element("caption", "", name), body);
}

/** Colour a cell on the signed scale, with ink that can be read on it. */
export function colourCell(cell, colours, fraction) {
  const place = 3 * Math.round(127.5 * (fraction + 1));
  const [r, g, b] = colours.subarray(place, place + 3);
  const [x, y, z] = [r, g, b].map((v) => (v <= 10 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * x + 0.7152 * y + 0.0722 * z > 0.179; // where black and white contrast equally
  Object.assign(cell.style, { background: `rgb(${r} ${g} ${b})`, color: light ? "#000" : "#fff" });
}

/** Rows of [what it is, how it comes about, value], of which the last is the result. */
export function account(rows) {
  const lines = rows.map(([name, how, value], i) => {
    const head = element("th", "", name);
    head.scope = "row";
    const result = i === rows.length - 1 ? "result" : "";
    return element("tr", result, head, element("td", "n", how), element("td", "n", value));
  });
  return element("table", "account", element("tbody", "", ...lines));
}

/** One button per input map, with the sum of its products. */
export function chips(word, channels, shown, place, choose) {
  const buttons = channels.map((part, i) => {
    const sum = element("b", "", shown[i]);
    const made = button("chip", () => choose(part.channel), `${word} ${part.channel + 1}: `, sum);
    made.setAttribute("aria-pressed", i === place);
    return made;
  });
  roving(buttons, () => {
    const next = buttons.findIndex((made) => made.offsetTop > buttons[0].offsetTop);
    return next < 0 ? buttons.length : next;
  });
  buttons.forEach((made, i) => (made.tabIndex = i === place ? 0 : -1));
  const list = element("div", "chips", ...buttons);
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", `The ${word}s, by the sum of their products`);
  return list;
}
