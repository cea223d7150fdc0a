/**
 * Values painted as colours onto a canvas.
 *
 * The scales are those of the other figures: 256 colours each, from low to high; where values have a
 * sign, zero is white.
 */

/** Decode base64 into bytes. */
export function decodeBytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** The two scales of a page, decoded: `signed` and `positive`, 256 times red, green and blue. */
export function decodeScales(colours) {
  return { signed: decodeBytes(colours.signed), positive: decodeBytes(colours.positive) };
}

/** The largest absolute value, at least a little above zero. */
export function largest(values, start = 0, count = values.length) {
  let top = 0;
  for (let i = start; i < start + count; i++) top = Math.max(top, Math.abs(values[i]));
  return top || 1e-9;
}

/**
 * Paint values onto a canvas, one pixel per value.
 * @param scale 256 colours
 * @param bound the value at the high end; `signed` says whether the low end is -bound or 0
 */
export function paint(canvas, values, start, width, height, scale, signed, bound) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const value = start + i < values.length ? values[start + i] / bound : 0;
    const fraction = signed ? (value + 1) / 2 : value;
    const colour = 3 * Math.max(0, Math.min(255, Math.round(255 * fraction)));
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = scale[colour + c];
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

/** Paint an image of one or more channels (C, H, W), 0 to 255, onto a canvas. */
export function paintPixels(canvas, pixels, [channels, height, width]) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const area = width * height;
  for (let i = 0; i < area; i++)
    for (let c = 0; c < 4; c++)
      picture.data[4 * i + c] = c === 3 ? 255 : pixels[(channels < 3 ? 0 : c) * area + i];
  context.putImageData(picture, 0, 0);
}
