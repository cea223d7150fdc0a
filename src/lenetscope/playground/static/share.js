/**
 * What the page shows, in its address, so that a link leads to the same; and as a file that needs no server.
 *
 * Each part of it is kept by a function that tells it as a text and one that restores it, see `keep`.
 */
import { stepsFor } from "../report/draw.js";
import { tell } from "./notice.js";
import { page } from "./page.js";
import { ask, base64 } from "./server.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.share;
const LONGEST = 16_000; // characters of an address
const DELAY = 400; // milliseconds after the last change
const MOST_WEIGHTS = 2_000_000; // that are sent; a page holds fewer
const CHANGES = ["network", "weights", "run", "view"];

const parts = new Map();

/**
 * Keep a part of the state in the address.
 * @param tellIt returns it as a text, or a promise of one; "" for what is there anyway
 * @param restore is given such a text, from an address that anybody may have written; it throws if it is none
 */
export function keep(name, tellIt, restore) {
  parts.set(name, { tellIt, restore });
}

/** Start it; `open` opens what the address says. */
export function startShare(panel, explainer, choose, views) {
  keep("run", () => page.facts.run, () => {}); // these two are opened before the others
  keep("epoch", () => page.epoch ?? "", () => {});
  keep("view", () => page.view, (name) => choose(oneOf(views, name)));
  keep(
    "steps",
    () => (String(on(panel.steps)) === String(on(stepsFor(page.facts.centred))) ? "" : on(panel.steps).join(".")),
    (text) => {
      const wanted = text.split(".").map((name) => name && oneOf(Object.keys(panel.steps), name));
      for (const name of Object.keys(panel.steps)) panel.steps[name] = wanted.includes(name);
      panel.update();
    },
  );
  keep(
    "drawing",
    async () => (page.empty || panel.pad.greeting ? "" : deflated(page.pixels)),
    async (text) => {
      const size = page.network.inputShape.reduce((a, b) => a * b);
      panel.load(await inflated(text, size), texts.drawing);
    },
  );
  keep(
    "place",
    () => (explainer.dialog.open ? `${explainer.number}.${explainer.index}` : ""),
    (text) => {
      const [number, index] = text.split(".").map(Number);
      const { width, height } = explainer.rows[number];
      if (!(index in page.outputs.layers[number].values)) throw new RangeError(text);
      explainer.open(number, Math.floor(index / (width * height)), index);
    },
  );

  let [timer, isOpening] = [null, true];
  const later = () => {
    clearTimeout(timer);
    if (!isOpening) timer = setTimeout(async () => history.replaceState(null, "", await address()), DELAY);
  };
  const open = async () => {
    isOpening = true;
    clearTimeout(timer);
    await openAddress();
    isOpening = false;
    later();
  };
  for (const kind of CHANGES) page.on(kind, later);
  for (const kind of ["close", "place"]) explainer.dialog.addEventListener(kind, later);
  addEventListener("hashchange", () => open().catch((error) => tell(error.message)));
  const find = (id) => document.getElementById(id);
  find("share").addEventListener("click", copyAddress);
  find("save").addEventListener("click", () => save(panel, find("save")));
  return open;
}

const on = (steps) => Object.keys(steps).filter((name) => steps[name]);

function oneOf(names, name) {
  if (!names.includes(name)) throw new RangeError(name);
  return name;
}

/** The address of what is shown now, without the drawing if it would be too long. */
async function address() {
  const state = new URLSearchParams();
  for (const [name, { tellIt }] of parts) {
    const text = String(await tellIt());
    if (text) state.set(name, text);
  }
  if (String(state).length > LONGEST) state.delete("drawing");
  return `#${state}`;
}

/** Open the run that the address names, or the first, and restore the rest. */
async function openAddress() {
  const hash = location.hash.slice(1);
  const state = new URLSearchParams(hash.length > LONGEST ? "" : hash);
  const failed = hash.length > LONGEST ? [texts.long] : [];
  const run = state.get("run");
  const epoch = state.get("epoch");
  try {
    if (epoch !== null && !/^\d{1,6}$/.test(epoch)) throw new RangeError(epoch);
    await page.open(run, epoch === null ? null : Number(epoch));
  } catch (error) {
    if (run === null && epoch === null) throw error;
    failed.push(texts.missing);
    await page.open();
  }
  for (const [name, text] of state) {
    try {
      await parts.get(name).restore(text);
    } catch {
      failed.push(texts.wrong);
    }
  }
  if (failed.length) tell(failed[0]);
}

async function copyAddress() {
  history.replaceState(null, "", await address());
  try {
    await navigator.clipboard.writeText(location.href);
    tell(texts.copied(location.hash.includes("drawing=")), false);
  } catch {
    tell(texts.byHand, false);
  }
}

/** Save a file with the network, its weights as they are now, and the drawing. */
async function save(panel, pressed) {
  const { facts, network, epoch } = page;
  const { weights } = network;
  pressed.disabled = true;
  tell(texts.saving, false);
  try {
    const file = await ask("view", {
      run: facts.run,
      epoch,
      weights: weights.length > MOST_WEIGHTS ? null : base64(new Uint8Array(weights.slice().buffer)),
      pixels: page.empty ? null : base64(page.pixels),
      off: Object.keys(panel.steps).filter((name) => !panel.steps[name]),
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file], { type: "text/html" }));
    link.download = `lenetscope-${facts.run}.html`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    tell(texts.saved, false);
  } catch (error) {
    tell(error.message);
  } finally {
    pressed.disabled = false;
  }
}

/** Bytes, compressed, as base64 that may stand in an address. */
async function deflated(bytes) {
  const found = await through(bytes, new CompressionStream("deflate-raw"), Infinity);
  return base64(found).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The bytes of such a text; it throws unless there are so many. */
async function inflated(text, count) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const found = await through(bytes, new DecompressionStream("deflate-raw"), count);
  if (found.length !== count) throw new RangeError(`${found.length} bytes`);
  return found;
}

/** Send bytes through a stream, which is cut off when it gives more than `most`. */
async function through(bytes, stream, most) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const found = [];
  for (let length = 0; length <= most; ) {
    const { done, value } = await reader.read();
    if (done) break;
    found.push(value);
    length += value.length;
  }
  reader.cancel().catch(() => {});
  return new Uint8Array(await new Blob(found).arrayBuffer());
}
