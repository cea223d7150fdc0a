/** The view "epochs". */
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.epochs;

/** See the view's heading. */
class Epochs extends HTMLElement {
  connectedCallback() {}
}
customElements.define("play-epochs", Epochs);
