/** Curves of trainings, drawn as SVG: loss and accuracy over the epochs, and the trainings before in faint lines. */
import { drawn, element } from "../report/dom.js";
import { percent } from "../report/numbers.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.train;
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [420, 230, 46, 8, 10, 34];
const LOWEST = [0.99, 0.98, 0.95, 0.9, 0.8, 0.5, 0]; // where the scale of accuracies can begin
const SMALLEST = 1e-7; // a loss of 0 has no logarithm
const INITIAL = ["seed", "model", "data", "image_size", "channels"]; // what the initial weights depend on
const UNSAID = ["name", "summary"];

/** The points of a training, [epoch, value]: means over some steps, and after each epoch on validation images. */
function pointsOf(state, what) {
  const { at } = state.curve;
  const training = at.map((x, i) => [x, state.curve[what][i]]);
  // a training that was resumed by another server has the means of its epochs only
  const begun = training.length ? training[0][0] : Infinity;
  const epochs = state.history.filter((row) => row.epoch < begun).map((row) => [row.epoch, row[`train_${what}`]]);
  const validation = state.history.map((row) => [row.epoch, row[`valid_${what}`]]);
  const known = (points) => points.filter(([, y]) => y !== null);
  return { training: known([...epochs, ...training]), validation: known(validation) };
}

/** Round places on a scale from a low to a high value, at most so many. */
function ticks(low, high, most) {
  const raw = (high - low) / most;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find((each) => each * unit >= raw);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return found;
}

/** A scale for losses: logarithmic, over all that is drawn. */
function lossScale(values) {
  const logs = values.map((y) => Math.log10(Math.max(y, SMALLEST)));
  const [low, high] = [Math.min(...logs) - 0.05, Math.max(...logs) + 0.05];
  const round = [];
  for (let k = Math.floor(low); k <= high; k++) for (const digit of [1, 2, 5]) round.push(k + Math.log10(digit));
  let marks = round.filter((y) => y >= low && y <= high);
  if (marks.length > 6) marks = marks.filter((y) => Math.abs(y - Math.round(y)) < 1e-9);
  return {
    place: (y) => (Math.log10(Math.max(y, SMALLEST)) - low) / (high - low),
    marks: marks.map((y) => [(y - low) / (high - low), String(Number((10 ** y).toPrecision(1)))]),
  };
}

/** A scale for accuracies, up to 100 %; it begins where the second half of what is drawn does. */
function accuracyScale(values) {
  const low = LOWEST.find((each) => each <= Math.min(...values)) ?? 0;
  return {
    place: (y) => (y - low) / (1 - low),
    marks: ticks(low, 1, 5).map((y) => [(y - low) / (1 - low), `${Number((100 * y).toFixed(1))} %`]),
  };
}

/** Draw one figure: `runs` begins with the training that is watched. */
function figure(title, what, runs, epochs, makeScale) {
  const all = runs.map((state) => pointsOf(state, what));
  const latter = ({ training, validation }) => [...training.slice(training.length >> 1), ...validation];
  const values = all.flatMap((points) => (what === "loss" ? [...points.training, ...points.validation] : latter(points)));
  if (!values.length) return null;
  const scale = makeScale(values.map(([, y]) => y));
  const [right, bottom] = [WIDTH - RIGHT, HEIGHT - BOTTOM];
  const x = (value) => LEFT + ((right - LEFT) * value) / epochs;
  const y = (value) => bottom - (bottom - TOP) * value;
  const lines = scale.marks.flatMap(([at, text]) => [
    drawn("line", { class: "rule", x1: LEFT, x2: right, y1: y(at), y2: y(at) }),
    drawn("text", { x: LEFT - 6, y: y(at) + 4, "text-anchor": "end" }, text),
  ]);
  const places = ticks(0, epochs, 6).map((at) =>
    drawn("text", { x: x(at), y: bottom + 16, "text-anchor": "middle" }, String(Number(at.toPrecision(3)))),
  );
  const curves = all.flatMap(({ training, validation }, i) => {
    const path = (points) => points.map(([at, v]) => `${x(at).toFixed(1)},${y(scale.place(v)).toFixed(1)}`).join(" ");
    const dots = validation.map(([at, v]) => drawn("circle", { cx: x(at), cy: y(scale.place(v)), r: i ? 2 : 3 }));
    return drawn(
      "g",
      { class: i ? `former former-${i}` : "watched" },
      drawn("polyline", { class: "training", points: path(training) }),
      drawn("polyline", { class: "validation", points: path(validation) }),
      drawn("g", { class: "dots" }, ...dots),
    );
  });
  const [mine] = all;
  const last = (mine.training.at(-1) ?? mine.validation.at(-1))?.[1];
  const shown = last === undefined ? "" : what === "loss" ? last.toPrecision(3) : percent(last);
  const label = texts.curve(title, runs[0].run ?? "", mine.training.length, shown);
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "curve", role: "img", "aria-label": label });
  const axis = drawn("text", { x: right, y: HEIGHT - 3, "text-anchor": "end" }, texts.epoch);
  const frame = { x: LEFT, y: 2, width: WIDTH - LEFT, height: bottom };
  // an inner svg cuts off what lies beyond the scale; the watched training is on top
  const inside = drawn("svg", { ...frame, viewBox: Object.values(frame).join(" ") }, ...curves.reverse());
  svg.append(...lines, ...places, axis, inside);
  return element("figure", "", element("figcaption", "", title), svg);
}

/** What a training before had other than the one that is watched, as text. */
export function differences(state, former) {
  const [now, then] = [state.recipe, former.recipe];
  const names = Object.keys(then).filter((n) => !UNSAID.includes(n) && String(then[n]) !== String(now[n]));
  const found = names.map((name) => texts.differs(texts.field(name), then[name], now[name]));
  if (former.lrChanges?.length) found.push(texts.byHand);
  const isAlike = !INITIAL.some((name) => names.includes(name));
  return [found.join(", ") || texts.same, isAlike ? texts.sameWeights : texts.otherWeights].join("; ");
}

function entry(kind, text) {
  const line = drawn("svg", { viewBox: "0 0 34 10", class: "curve key", "aria-hidden": "true" });
  const [group, shape] = kind.split(" ");
  line.append(drawn("g", { class: group }, drawn("polyline", { class: shape, points: "1,5 33,5" })));
  if (shape === "validation") line.firstChild.append(drawn("g", { class: "dots" }, drawn("circle", { cx: 17, cy: 5, r: 3 })));
  return element("li", "", line, element("span", "", text));
}

/** The curves of a training and of those before, with their legend. */
export function curves(state, former) {
  const runs = [state, ...former];
  const reached = runs.map((each) => Math.max(each.history.length, each.epochs ?? 0));
  const epochs = Math.max(...reached) || 1;
  const figures = [
    figure(texts.loss, "loss", runs, epochs, lossScale),
    figure(texts.accuracy, "accuracy", runs, epochs, accuracyScale),
  ].filter(Boolean);
  const run = state.run ?? "";
  const legend = element(
    "ul",
    "legend",
    entry("watched training", texts.trainingOf(run)),
    entry("watched validation", texts.validationOf(run)),
    ...former.map((each, i) =>
      entry(`former-${i + 1} training`, texts.formerOf(each.run, differences(state, each))),
    ),
  );
  return figures.length ? [element("div", "curves", ...figures), legend] : [];
}
