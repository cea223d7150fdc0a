/** The terms of one value in words and numbers, for each kind of layer; what is shown adds up. */
import { button, element, roving } from "./dom.js";
import { BINARY, withEach } from "./operations.js";
import { addends, decimal, decimals, shownNumber } from "./numbers.js";

const LISTED = 8; // terms that are listed one by one

const say = (...parts) => element("p", "", ...parts);
const each = (values, digits = decimals(values)) => values.map((value) => decimal(value, digits));
const anywhere = (taps) => taps.map(() => ({ inside: true }));

/** Numbers in a grid as wide as the kernel; those outside the input are hatched. */
function grid(name, texts, values, taps, columns, colours, winner = null) {
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
function account(rows) {
  const lines = rows.map(([name, how, value], i) => {
    const head = element("th", "", name);
    head.scope = "row";
    const result = i === rows.length - 1 ? "result" : "";
    return element("tr", result, head, element("td", "n", how), element("td", "n", value));
  });
  return element("table", "account", element("tbody", "", ...lines));
}

/** The place and the size of what a kernel covers: x, y, columns, rows. */
function extent(layer, taps) {
  const size = (axis) => (layer.kernel[axis] - 1) * layer.dilation[axis] + 1;
  return [taps[0].column, taps[0].row, size(1), size(0)];
}

function convolution({ layer, input, found, digits, network, colours, chosen, choose, inputMap }) {
  const { channels, bias, value } = found;
  const [maps, isImage] = [channels.length, input.name === "the image"];
  const word = isImage ? "channel" : "map";
  const shown = addends([...channels.map((part) => part.sum), bias], value, digits);
  const place = Math.max(0, channels.findIndex((part) => part.channel === chosen));
  const { channel, taps } = channels[place];
  const products = taps.map((tap) => tap.product);
  const [inputs, weights] = [taps.map((tap) => tap.input), taps.map((tap) => tap.weight)];
  const together = shown.slice(0, -1).reduce((sum, text) => sum + shownNumber(text), 0);
  const covered = maps > 1 ? `each of ${maps} ${word}s of ${input.name}` : input.name;
  const one = maps > 1 || !isImage ? `${word} ${channel + 1} of ${input.name}` : input.name;
  const columns = layer.kernel[1];
  const nodes = [
    say(
      `The filter covers ${layer.kernel.join("×")} values of ${covered}. ` +
        "Each is multiplied by a weight; the products and the bias are added.",
    ),
    say(`The ${taps.length} products of ${one} add up to `, element("b", "part", shown[place]), "."),
    element(
      "div",
      "grids",
      inputMap(channel, ...extent(layer, taps)),
      grid("values", each(inputs), inputs, taps, columns, colours),
      element("span", "sign", "×"),
      grid("weights", each(weights), weights, anywhere(taps), columns, colours),
      element("span", "sign", "="),
      grid("products", addends(products, shownNumber(shown[place]), digits), products, taps, columns, colours),
    ),
  ];
  if (taps.some((tap) => !tap.inside)) nodes.push(say(beyond(isImage, network, channel)));
  if (maps > 1) {
    nodes.push(
      say(`Sums of the products of all ${word}s, the largest first. Choose one:`),
      chips(word, channels, shown, place, choose),
    );
  }
  nodes.push(
    account([
      [maps > 1 ? `products of ${maps} ${word}s` : `${taps.length} products`, "", decimal(together, digits)],
      ["bias", layer.bias === null ? "none" : "", shown.at(-1)],
      ["sum", "", decimal(value, digits)],
    ]),
  );
  const inside = taps.filter((tap) => tap.inside);
  const largest = Math.max(...inside.map((tap) => Math.abs(tap.product)));
  return { nodes, from: (inside.find((tap) => Math.abs(tap.product) === largest) ?? found).index };
}

/** What counts where a kernel reaches beyond its input. */
function beyond(isImage, { mean, std }, channel) {
  const black = isImage ? -(mean[channel] ?? 0) / (std[channel] ?? 1) : 0;
  const grey = black ? ` A black pixel is ${decimal(black, 2)} after normalisation, and 0 is grey.` : "";
  return (
    `Hatched places lie outside, where 0 is taken (padding).${grey} ` +
    "The edge of a map therefore often differs from the rest, like a coloured frame."
  );
}

/** One button per input map, with the sum of its products. */
function chips(word, channels, shown, place, choose) {
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

function pooling({ layer, input, found, digits, colours, inputMap }) {
  const { taps, channel, winner, sum, divisor, value } = found;
  const values = taps.map((tap) => tap.input);
  const inside = taps.filter((tap) => tap.inside);
  const texts = winner ? each(values, digits) : addends(values, sum, digits);
  const result = winner
    ? say(`The largest of ${inside.length} values is kept: row ${winner.row + 1}, column ${winner.column + 1}.`)
    : account([
        [`sum of ${inside.length} values`, "", decimal(sum, digits)],
        ["mean", `÷ ${divisor}`, decimal(value, digits)],
      ]);
  const name = `map ${channel + 1} of ${input.name}`;
  const numbers = grid(name, texts, values, taps, layer.kernel[1], colours, winner);
  const nodes = [result, element("div", "grids", inputMap(channel, ...extent(layer, taps)), numbers)];
  if (inside.length < taps.length) nodes.push(say("Hatched places lie outside the map."));
  return { nodes, from: (winner ?? inside[0]).index };
}

function weighted({ layer, found, digits, nameOf }) {
  const { terms, bias, value } = found;
  const [first, rest] = [terms.slice(0, LISTED), terms.slice(LISTED)];
  const others = rest.reduce((sum, term) => sum + term.product, 0);
  const shown = addends([...first.map((term) => term.product), others, bias], value, digits);
  const how = ({ input, weight }) => `${decimal(input, 3)} × ${decimal(weight, 3)}`;
  const rows = first.map((term, i) => [nameOf(term.index), how(term), shown[i]]);
  if (rest.length) rows.push([`${rest.length} other products`, "", shown.at(-2)]);
  rows.push(["bias", layer.bias === null ? "none" : "", shown.at(-1)], ["sum", "", decimal(value, digits)]);
  const words =
    `Each of the ${terms.length} values before it is multiplied by a weight; ` +
    "the products and the bias are added.";
  return { nodes: [say(words), account(rows)], from: terms[0].index };
}

function normalization({ found, digits, nameOf }) {
  const [product, shift] = addends([found.product, found.shift], found.value, digits);
  const rows = [
    [nameOf(found.index), `${decimal(found.input, 3)} × ${decimal(found.scale, 3)}`, product],
    ["shift", "", shift],
    ["sum", "", decimal(found.value, digits)],
  ];
  const words =
    "Each map, or value, has a scale and a shift. They remove the mean and the spread of its values in training, " +
    "and put learned ones in their place.";
  return { nodes: [say(words), account(rows)], from: found.index };
}

function exponentials({ layer, found, network, nameOf }) {
  const { exponents, powers, sum, top, index, places, at, value } = found;
  const isLast = layer === network.layers.at(-1);
  const nameAt = (k) => (isLast ? `class ${network.classes[k]}` : nameOf(places[k]));
  const order = [...powers.keys()].sort((a, b) => powers[b] - powers[a]);
  const listed = [...new Set([...order.slice(0, LISTED), at])];
  const rest = order.filter((k) => !listed.includes(k));
  const others = rest.reduce((total, k) => total + powers[k], 0);
  const shown = addends([...listed.map((k) => powers[k]), others], sum, 4);
  const rows = listed.map((k, i) => [nameAt(k), `e^(${decimal(exponents[k], 2)})`, shown[i]]);
  if (rest.length) rows.push([`${rest.length} others`, "", shown.at(-1)]);
  rows.push(["sum", "", decimal(sum, 4)]);
  const words =
    `The largest output, ${decimal(top, 2)}, is subtracted from each: that changes no probability, and ` +
    "keeps numbers small. Then e is raised to the power of each, and divided by the sum.";
  const division = `${shown[listed.indexOf(at)]} ÷ ${decimal(sum, 4)}`;
  return { nodes: [say(words), account(rows), account([["probability", division, decimal(value, 4)]])], from: index };
}

/** A layer that takes one value at a time: what it does to it, in words. */
const single = (words) => (context) => {
  const { found, digits, nameOf } = context;
  const [before, after] = [decimal(found.input, digits), decimal(found.value, digits)];
  return { nodes: [say(words(before, after, nameOf(found.index), found))], from: found.index };
};

const kept = (why) => single((_, after, name) => `It is ${name}, ${after}, unchanged${why}.`);

/** What is computed of x, for each function of one value that is not described by itself. */
export const FORMULAS = {
  SiLU: () => "x ÷ (1 + e^−x)",
  GELU: () => "x × the probability that a standard normal number is below x",
  GELUTanh: () => "x × (1 + tanh(0.798 x + 0.0357 x³)) ÷ 2",
  LeakyReLU: ([slope]) => `x, or ${slope} x where x is negative`,
  ELU: ([alpha]) => `x, or ${alpha} (e^x − 1) where x is negative`,
  SELU: () => "1.051 x, or 1.758 (e^x − 1) where x is negative",
  Softplus: () => "log(1 + e^x)",
  Mish: () => "x × tanh(log(1 + e^x))",
  Hardswish: () => "x × (x + 3) ÷ 6, with x + 3 cut off at 0 and 6",
  Hardsigmoid: () => "(x + 3) ÷ 6, with x + 3 cut off at 0 and 6",
  Clamp: ([low, high]) => `x cut off ${[low, high].map((v, i) => v !== null && `${i ? "above" : "below"} ${v}`).filter(Boolean).join(" and ")}`,
  Exp: () => "e^x",
  Log: () => "log x",
  Log1p: () => "log(1 + x)",
  Neg: () => "−x",
  Abs: () => "x without its sign",
  Sqrt: () => "the square root of x",
  Rsqrt: () => "1 ÷ the square root of x",
  Reciprocal: () => "1 ÷ x",
  Power: ([exponent]) => `x to the power of ${exponent}`,
  Square: () => "x²",
};

const formula = (context) =>
  single((before, after, name) => {
    const { kind, args } = context.layer;
    return `Its input x is ${before} (${name}): ${FORMULAS[kind](args)} = ${after}.`;
  })(context);

/** What is computed of several values that lie along a dimension. */
export const ALONG = {
  Sum: "the sum",
  Mean: "the mean",
  Max: "the largest",
  Min: "the smallest",
  LogSumExp: "the logarithm of the sum of the exponentials",
  Norm: "the square root of the sum of the squares",
  LogSoftmax: "the logarithm of the softmax",
  CumSum: "the sum so far",
  LogCumSumExp: "the logarithm of the sum of the exponentials so far",
};

function several({ layer, found, digits, nameOf }) {
  const { terms, value } = found;
  const [first, rest] = [terms.slice(0, LISTED), terms.slice(LISTED)];
  const sums = ["Sum", "CumSum"].includes(layer.kind);
  const together = terms.reduce((sum, term) => sum + term.input, 0);
  const others = rest.reduce((sum, term) => sum + term.input, 0);
  const amounts = [...first.map((term) => term.input), ...(rest.length ? [others] : [])];
  const shown = sums ? addends(amounts, value, digits) : each(amounts, digits);
  const rows = first.map((term, i) => [nameOf(term.index), "", shown[i]]);
  const nodes = [say(`It is ${ALONG[layer.kind]} of ${terms.length} values: ${decimal(value, digits)}.`)];
  if (sums) {
    if (rest.length) rows.push([`${rest.length} others`, "", shown.at(-1)]);
    nodes.push(account([...rows, ["sum", "", decimal(value, digits)]]));
  } else if (layer.kind === "Mean") {
    const mean = ["mean", `÷ ${terms.length}`, decimal(value, digits)];
    nodes.push(account([[`sum of ${terms.length} values`, "", decimal(together, digits)], mean]));
  } else nodes.push(say(`The largest are ${first.map((term, i) => `${shown[i]} (${nameOf(term.index)})`).join(", ")}.`));
  return { nodes, from: terms[0].index };
}

const SIGNS = { Mul: "×", Div: "÷" };

function arithmetic({ layer, found, digits, nameOf }) {
  const { operands, value } = found;
  const nameAt = ({ input, index }) => (input === null ? "a constant" : nameOf(index, input));
  const outputs = operands.filter((operand) => operand.input !== null);
  const back = { ways: outputs.map((operand) => ({ from: operand.index, source: operand.input })) };
  if (layer.kind === "Add" || layer.kind === "Sub") {
    const amounts = operands.map((operand, i) => (i && layer.kind === "Sub" ? -operand.value : operand.value));
    const shown = addends(amounts, value, digits);
    const rows = operands.map((operand, i) => [nameAt(operand), "", shown[i]]);
    return { nodes: [account([...rows, ["sum", "", decimal(value, digits)]])], ...back };
  }
  const texts = operands.map((operand) => `${decimal(operand.value, digits)} (${nameAt(operand)})`);
  const words = SIGNS[layer.kind]
    ? `${texts.join(` ${SIGNS[layer.kind]} `)} = ${decimal(value, digits)}.`
    : `The ${layer.kind === "Maximum" ? "larger" : "smaller"} of ${texts.join(" and ")}: ${decimal(value, digits)}.`;
  return { nodes: [say(words)], ...back };
}

function movedHere({ found, digits, nameOf }) {
  const { source, index, value } = found;
  if (source === null) return { nodes: [say(`It lies outside the input, where ${decimal(value, digits)} is put.`)] };
  const words = `It is ${nameOf(index, source)}, ${decimal(value, digits)}, unchanged: values are only put elsewhere.`;
  return { nodes: [say(words)], from: index, source };
}

/**
 * For each kind of layer: the nodes to show, and the place of the input that matters most, `from`, in that of
 * the inputs whose number is `source`, by default the first; where several matter, `ways` are all of these.
 */
export const DESCRIBE = {
  Conv2d: convolution,
  MaxPool2d: pooling,
  AvgPool2d: pooling,
  BatchNorm: normalization,
  Linear: weighted,
  Softmax: exponentials,
  ReLU: single((before, after, name, { input }) =>
    input < 0
      ? `Its input is ${before} (${name}). That is negative, so the output is ${after}.`
      : `Its input is ${before} (${name}). That is not negative, so the output is the same, ${after}.`,
  ),
  Tanh: single((before, after, name) => `Its input is ${before} (${name}): tanh(${before}) = ${after}.`),
  Sigmoid: single((before, after, name) => `Its input x is ${before} (${name}): 1 ÷ (1 + e^−x) = ${after}.`),
  Flatten: kept(": the maps are put into one row, map by map and row by row"),
  Dropout: kept(": dropout sets values to 0 at random in training only"),
  Reshape: kept(": only the shape is another"),
  Move: movedHere,
  ...withEach(FORMULAS, () => formula),
  ...withEach(ALONG, () => several),
  ...withEach(BINARY, () => arithmetic),
};
