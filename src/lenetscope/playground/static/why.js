/** The view "why". */
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.why;

/** See the view's heading. */
class Why extends HTMLElement {
  connectedCallback() {}
}
customElements.define("play-why", Why);
