/** Numbers as text, and rounded so that what is shown adds up. */

/** A number as text with some decimals. */
export function decimal(value, digits) {
  return value.toFixed(digits).replace(/^-(0(\.0*)?)$/, "$1").replace("-", "−");
}

/** The number that such a text shows. */
export const shownNumber = (text) => Number(text.replace("−", "-"));

/** A number with two or three digits. */
export function plainNumber(value) {
  return decimal(value, Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

/** A probability in percent; none is rounded to 0 or 100 %. */
export function percent(p, digits = 1) {
  const text = (100 * p).toFixed(digits);
  const step = 10 ** -digits;
  if (Number(text) === 0) return `<${step.toFixed(digits)} %`;
  return Number(text) === 100 ? `>${(100 - step).toFixed(digits)} %` : `${text} %`;
}

/** The decimals with which the largest of some numbers shows three digits: 0 to 4. */
export function decimals(values) {
  const largest = Math.max(...values.map(Math.abs)) || 1;
  return Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(largest))));
}

/**
 * Terms as text, rounded so that the texts add up to the text of the total.
 *
 * Where rounding each by itself would miss the total, the terms that it changed most are rounded the
 * other way.
 */
export function addends(terms, total, digits) {
  const unit = 10 ** -digits;
  const whole = terms.map((term) => Math.round(term / unit));
  const missing = Math.round(total / unit) - whole.reduce((a, b) => a + b, 0);
  const sign = Math.sign(missing);
  const lost = terms.map((term, i) => sign * (term / unit - whole[i]));
  const order = [...terms.keys()].sort((a, b) => lost[b] - lost[a]);
  for (const i of order.slice(0, Math.abs(missing))) whole[i] += sign;
  return whole.map((count) => decimal(count * unit, digits));
}
