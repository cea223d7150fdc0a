/** The view "digits". */
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.digits;

/** See the view's heading. */
class Digits extends HTMLElement {
  connectedCallback() {}
}
customElements.define("play-digits", Digits);
