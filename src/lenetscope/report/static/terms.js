/** The terms of one value in words and numbers, for each kind of layer; what is shown adds up. */
import { element } from "./dom.js";
import { BINARY, withEach } from "./operations.js";
import { addends, decimal, shownNumber } from "./numbers.js";
import { account, chips, each, grid, say } from "./tables.js";

const LISTED = 8; // terms that are listed one by one
const anywhere = (taps) => taps.map(() => ({ inside: true }));

/** Steps that add amounts up, from [elements, what it is, amount as text] each; see `markingTape`. */
function adding(parts, digits, before = 0) {
  let sum = before;
  return parts.map(([marks, text, amount]) => {
    sum += shownNumber(amount);
    return { marks, text, total: decimal(sum, digits) };
  });
}

/** The same of an account: its rows but the last, which is the sum. */
function rowsOf(table, digits) {
  const rows = [...table.rows].map((row) => [row, ...[...row.cells].map((cell) => cell.textContent)]);
  const parts = rows.slice(0, -1).map(([row, name, how, amount]) => [[row], `${name}: ${/[×^]/.test(how) ? `${how} = ` : ""}${amount}`, amount]);
  const [last, name, , total] = rows.at(-1);
  return [...adding(parts, digits), { marks: [last], text: name, total }];
}

const cellsOf = (table) => [...table.querySelectorAll("td")];

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
  const texts = [each(inputs), each(weights), addends(products, shownNumber(shown[place]), digits)];
  const grids = [
    grid("values", texts[0], inputs, taps, columns, colours),
    grid("weights", texts[1], weights, anywhere(taps), columns, colours),
    grid("products", texts[2], products, taps, columns, colours),
  ];
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
      grids[0],
      element("span", "sign", "×"),
      grids[1],
      element("span", "sign", "="),
      grids[2],
    ),
  ];
  if (taps.some((tap) => !tap.inside)) nodes.push(say(beyond(isImage, network, channel)));
  const list = chips(word, channels, shown, place, choose);
  if (maps > 1) nodes.push(say(`Sums of the products of all ${word}s, the largest first. Choose one:`), list);
  const sum = account([
    [maps > 1 ? `products of ${maps} ${word}s` : `${taps.length} products`, "", decimal(together, digits)],
    ["bias", layer.bias === null ? "none" : "", shown.at(-1)],
    ["sum", "", decimal(value, digits)],
  ]);
  nodes.push(sum);
  const cells = grids.map(cellsOf);
  const multiplied = taps.map((tap, k) => [
    cells.map((row) => row[k]),
    `${tap.inside ? texts[0][k] : "outside, 0"} × ${texts[1][k]} = ${texts[2][k]}`,
    texts[2][k],
  ]);
  const others = channels.map((part, i) => [[list.children[i]], `${word} ${part.channel + 1}: ${shown[i]}`, shown[i]]);
  others.splice(place, 1);
  const rest = others.splice(LISTED);
  const left = decimal(rest.reduce((total, [, , amount]) => total + shownNumber(amount), 0), digits);
  if (rest.length) others.push([rest.flatMap(([marks]) => marks), `${rest.length} other ${word}s: ${left}`, left]);
  const parts = [...multiplied, ...others];
  parts.at(-1)[0].push(sum.rows[0]);
  const steps = [
    ...adding([...parts, [[sum.rows[1]], `bias: ${shown.at(-1)}`, shown.at(-1)]], digits),
    { marks: [sum.rows[2]], text: "sum", total: decimal(value, digits) },
  ];
  const inside = taps.filter((tap) => tap.inside);
  const largest = Math.max(...inside.map((tap) => Math.abs(tap.product)));
  return { nodes, from: (inside.find((tap) => Math.abs(tap.product) === largest) ?? found).index, steps };
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

/** Steps from one candidate to the next; what there is then is the largest so far. */
function comparing(taps, cells, digits) {
  let top = -Infinity;
  return cells.map(([marks, text], k) => {
    const isLarger = taps[k].inside && taps[k].input > top;
    if (isLarger) top = taps[k].input;
    const words = isLarger ? `${text}: the largest so far` : `${text}: not larger`;
    return { marks, text: words, total: top === -Infinity ? "0" : decimal(top, digits) };
  });
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
  const cells = cellsOf(numbers).map((cell, k) => [[cell], taps[k].inside ? texts[k] : "outside", texts[k]]);
  const steps = winner ? comparing(taps, cells, digits) : adding(cells, digits);
  if (winner) steps.push({ marks: [result], text: "the largest", total: decimal(value, digits) });
  else steps.push({ marks: [result.rows[1]], text: `÷ ${divisor}`, total: decimal(value, digits) });
  return { nodes, from: (winner ?? inside[0]).index, steps };
}

function ofTheImage({ found: { pixel, mean, std, value }, digits }) {
  const how = mean || std !== 1 ? `(${pixel} ÷ 255 − ${mean}) ÷ ${std}` : `${pixel} ÷ 255`;
  const words = `The pixel is ${pixel}, where 0 is black and 255 is the brightest. The network is given it normalised: `;
  return { nodes: [say(words, how, " = ", element("b", "", decimal(value, digits)), ".")] };
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
  const table = account(rows);
  return { nodes: [say(words), table], from: terms[0].index, steps: rowsOf(table, digits) };
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
  const table = account(rows);
  return { nodes: [say(words), table], from: found.index, steps: rowsOf(table, digits) };
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
  const [powersTable, last] = [account(rows), account([["probability", division, decimal(value, 4)]])];
  const steps = [...rowsOf(powersTable, 4), { marks: [last.rows[0]], text: division, total: decimal(value, 4) }];
  return { nodes: [say(words), powersTable, last], from: index, steps };
}

/** A layer that takes one value at a time: what it does to it, in words. */
const single = (words) => (context) => {
  const { found, digits, nameOf } = context;
  const [before, after] = [decimal(found.input, digits), decimal(found.value, digits)];
  const told = say(words(before, after, nameOf(found.index), found));
  const steps = [
    { marks: [], text: "its input", total: before },
    { marks: [told], text: "its output", total: after },
  ];
  return { nodes: [told], from: found.index, steps };
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
  let steps;
  const nodes = [say(`It is ${ALONG[layer.kind]} of ${terms.length} values: ${decimal(value, digits)}.`)];
  if (sums) {
    if (rest.length) rows.push([`${rest.length} others`, "", shown.at(-1)]);
    steps = rowsOf(nodes[nodes.push(account([...rows, ["sum", "", decimal(value, digits)]])) - 1], digits);
  } else if (layer.kind === "Mean") {
    const mean = ["mean", `÷ ${terms.length}`, decimal(value, digits)];
    nodes.push(account([[`sum of ${terms.length} values`, "", decimal(together, digits)], mean]));
  } else nodes.push(say(`The largest are ${first.map((term, i) => `${shown[i]} (${nameOf(term.index)})`).join(", ")}.`));
  return { nodes, from: terms[0].index, steps };
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
    const table = account([...rows, ["sum", "", decimal(value, digits)]]);
    return { nodes: [table], ...back, steps: rowsOf(table, digits) };
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
 * Where it comes about step by step, these are the `steps`, see `markingTape`.
 */
export const DESCRIBE = {
  Image: ofTheImage,
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
