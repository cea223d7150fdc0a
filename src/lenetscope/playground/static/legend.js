/** What colours, frames and lines of the layers mean; it stays in sight. */
import { paint } from "../report/colours.js";
import { element } from "../report/dom.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.legend;

/** Fill the legend for the scales of a network. */
export function showLegend(place, scales) {
  const entry = (sign, text) => {
    sign.setAttribute("aria-hidden", "true");
    return element("span", "entry", sign, text);
  };
  const ramp = (colours, signed) => {
    const canvas = element("canvas", "ramp");
    const values = Float32Array.from({ length: 48 }, (_, i) => (signed ? i / 23.5 - 1 : i / 47));
    paint(canvas, values, 0, 48, 1, colours, signed, 1);
    return canvas;
  };
  const line = element("span", "sign feeds", element("i", "plus"), element("i", "minus"));
  place.replaceChildren(
    entry(ramp(scales.signed, true), texts.signed),
    entry(ramp(scales.positive, false), texts.positive),
    entry(element("span", "sign hatched"), texts.padding),
    entry(element("span", "sign own"), texts.own),
    entry(element("span", "sign seen"), texts.seen),
    entry(line, texts.feeds),
  );
}
