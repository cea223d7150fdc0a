/** The view "gallery". */
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.gallery;

/** See the view's heading. */
class Gallery extends HTMLElement {
  connectedCallback() {}
}
customElements.define("play-gallery", Gallery);
