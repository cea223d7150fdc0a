/**
 * From a drawing, light on dark, to an image like those that the network was trained on.
 *
 * MNIST's own preparation, as its authors describe it: the digit is scaled into a box of 20x20 with its
 * sides in proportion, anti-aliased, and put into 28x28 with its centre of mass in the middle. For other
 * sizes the box is as large in proportion. Without these steps the drawing is only made smaller.
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

/** The same without means: each new pixel is the pixel in the middle of its area. */
function nearest(values, pictureWidth, box, width, height) {
  const middle = (start, length, count, i) => Math.floor(start + ((i + 0.5) * length) / count);
  return Float32Array.from({ length: width * height }, (_, i) => {
    const x = middle(box.left, box.width, width, i % width);
    return values[middle(box.top, box.height, height, Math.floor(i / width)) * pictureWidth + x];
  });
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
  if (channels.length === 1) return channels[0];
  const most = channels[0].slice();
  for (const values of channels.slice(1)) for (let i = 0; i < most.length; i++) most[i] = Math.max(most[i], values[i]);
  return most;
}

/**
 * Prepare a drawing.
 * @param channels what was drawn: one array per channel, each pictureWidth x pictureHeight
 * @param shape [C, H, W] of the result
 * @param steps {box, centre, smooth}: whether the ink is scaled into a box, its centre of mass is put into
 *   the middle, and new pixels are means of what they cover
 * @returns {{pixels: Uint8ClampedArray, empty: boolean, box, small, seen}} the ink's box in the drawing; what it
 *   was scaled to, {channels, width, height}; both null if there is no ink; and the part of the picture that the
 *   image shows, {left, top, width, height} in pixels of the picture
 */
export function prepare(channels, pictureWidth, pictureHeight, shape, steps) {
  const [, height, width] = shape;
  const ink = brightest(channels);
  const box = inkBox(ink, pictureWidth, pictureHeight);
  const pixels = new Uint8ClampedArray(shape[0] * width * height);
  const picture = { left: 0, top: 0, width: pictureWidth, height: pictureHeight };
  if (!box) return { pixels, empty: true, box, small: null, seen: picture };
  const from = steps.box ? box : picture;
  const scale = Math.round((20 / 28) * Math.min(width, height)) / Math.max(from.width, from.height);
  const w = steps.box ? Math.max(1, Math.round(from.width * scale)) : width;
  const h = steps.box ? Math.max(1, Math.round(from.height * scale)) : height;
  const scaled = (values) => (steps.smooth ? resample : nearest)(values, pictureWidth, from, w, h);
  let [dx, dy] = [0, 0];
  if (steps.centre) {
    const [cx, cy] = centreOfMass(scaled(ink), w, h);
    [dx, dy] = [Math.round(width / 2 - cx), Math.round(height / 2 - cy)];
  } else if (steps.box) {
    // the middle of the box stays where it was drawn, as far as there is room
    const stay = (start, length, whole, side, own) =>
      Math.max(0, Math.min(side - own, Math.round(((start + length / 2) * side) / whole - own / 2)));
    dx = stay(box.left, box.width, pictureWidth, width, w);
    dy = stay(box.top, box.height, pictureHeight, height, h);
  }
  const small = channels.map(scaled);
  small.forEach((values, c) => {
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++)
        if (x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height)
          pixels[(c * height + y + dy) * width + x + dx] = values[y * w + x];
  });
  const [stepX, stepY] = [from.width / w, from.height / h]; // pixels of the picture per pixel of the image
  const seen = { left: from.left - dx * stepX, top: from.top - dy * stepY, width: width * stepX, height: height * stepY };
  return { pixels, empty: false, box, small: { channels: small, width: w, height: h }, seen };
}
