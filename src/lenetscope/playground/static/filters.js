/** The view "filters". */
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.filters;

/** See the view's heading. */
class Filters extends HTMLElement {
  connectedCallback() {}
}
customElements.define("play-filters", Filters);
