/** A line at the foot of the page that says what could not be done, or was. */

const LASTS = 9000; // milliseconds
let timer;

/** Say something, by default for some seconds; what is wrong is marked. */
export function tell(text, isWrong = true, lasts = LASTS) {
  const place = document.getElementById("trouble");
  clearTimeout(timer);
  place.textContent = text;
  place.hidden = !text;
  place.classList.toggle("done", !isWrong);
  if (lasts < Infinity) timer = setTimeout(() => (place.hidden = true), lasts);
}
