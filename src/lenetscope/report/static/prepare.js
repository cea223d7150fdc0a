/**
 * From a drawing, light on dark, to an image like those that the network was trained on.
 *
 * MNIST's own preparation, as its authors describe it: the digit is scaled into a box of 20x20 with its
 * sides in proportion, anti-aliased, and put into 28x28 with its centre of mass in the middle. For other
 * sizes the box is as large in proportion. Without that step the drawing is only made smaller.
 */

export const FAINT = 24; // of 255: fainter pixels do not count as ink

/**
 * Make part of a picture smaller or larger; each new pixel is the mean of the area that it covers.
 * @param box {left, top, width, height} in pixels of the picture
 */
export function resample(values, pictureWidth, box, width, height) {
  const spans = (start, length, count) =>
    Array.from({ length: count }, (_, i) => {
      const from = start + (i * length) / count;
      const to = start + ((i + 1) * length) / count;
      const parts = [];
      for (let p = Math.floor(from); p < Math.ceil(to); p++)
        parts.push([p, (Math.min(p + 1, to) - Math.max(p, from)) / (to - from)]);
      return parts;
    });
  const columns = spans(box.left, box.width, width);
  const rows = spans(box.top, box.height, height);
  const out = new Float32Array(width * height);
  rows.forEach((row, y) =>
    columns.forEach((column, x) => {
      let sum = 0;
      for (const [py, sy] of row)
        for (const [px, sx] of column) sum += sy * sx * values[py * pictureWidth + px];
      out[y * width + x] = sum;
    }),
  );
  return out;
}

/** The smallest box around the ink, or null if there is none. */
export function inkBox(values, width, height) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      if (values[y * width + x] >= FAINT) {
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The centre of mass, in pixels; the middle of the first pixel is 0.5. */
export function centreOfMass(values, width, height) {
  let [sum, sx, sy] = [0, 0, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const value = values[y * width + x];
      sum += value;
      sx += value * (x + 0.5);
      sy += value * (y + 0.5);
    }
  return sum ? [sx / sum, sy / sum] : [width / 2, height / 2];
}

/** The largest of the channels at each place. */
export function brightest(channels) {
  return channels[0].map((_, i) => Math.max(...channels.map((values) => values[i])));
}

/**
 * Prepare a drawing.
 * @param channels what was drawn: one array per channel, each pictureWidth x pictureHeight
 * @param shape [C, H, W] of the result
 * @param centred whether to scale and centre it
 * @returns {{pixels: Uint8ClampedArray, empty: boolean, seen}} with the part of the picture that the image shows,
 *   {left, top, width, height} in pixels of the picture
 */
export function prepare(channels, pictureWidth, pictureHeight, shape, centred) {
  const [, height, width] = shape;
  const ink = brightest(channels);
  const found = inkBox(ink, pictureWidth, pictureHeight);
  const pixels = new Uint8ClampedArray(shape[0] * width * height);
  const whole = { left: 0, top: 0, width: pictureWidth, height: pictureHeight };
  if (!found) return { pixels, empty: true, seen: whole };
  const box = centred ? found : whole;
  const side = Math.round((20 / 28) * Math.min(width, height));
  const scale = side / Math.max(box.width, box.height);
  const w = centred ? Math.max(1, Math.round(box.width * scale)) : width;
  const h = centred ? Math.max(1, Math.round(box.height * scale)) : height;
  let [dx, dy] = [0, 0];
  if (centred) {
    const [cx, cy] = centreOfMass(resample(ink, pictureWidth, box, w, h), w, h);
    [dx, dy] = [Math.round(width / 2 - cx), Math.round(height / 2 - cy)];
  }
  channels.forEach((values, c) => {
    const small = resample(values, pictureWidth, box, w, h);
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++)
        if (x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height)
          pixels[(c * height + y + dy) * width + x + dx] = small[y * w + x];
  });
  const [stepX, stepY] = [box.width / w, box.height / h]; // pixels of the picture per pixel of the image
  const seen = { left: box.left - dx * stepX, top: box.top - dy * stepY, width: width * stepX, height: height * stepY };
  return { pixels, empty: false, seen };
}
