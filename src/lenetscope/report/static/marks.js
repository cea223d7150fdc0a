/** What can be said of a drawing before any network sees it: whether it is one mark, large enough. */
import { FAINT } from "./prepare.js";

const DOT = 2.2; // widths of the pen: a stroke that is hardly longer than it is wide

/** The boxes of connected ink, {left, top, right, bottom}, the last pixel included. */
export function marks(values, width, height) {
  const seen = new Uint8Array(width * height);
  const boxes = [];
  for (let start = 0; start < values.length; start++) {
    if (seen[start] || values[start] < FAINT) continue;
    const box = { left: width, top: height, right: -1, bottom: -1 };
    const waiting = [start];
    seen[start] = 1;
    while (waiting.length) {
      const at = waiting.pop();
      const [x, y] = [at % width, Math.floor(at / width)];
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y);
      for (const [nx, ny] of [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]]) {
        const next = ny * width + nx;
        if (nx < 0 || ny < 0 || nx >= width || ny >= height || seen[next] || values[next] < FAINT) continue;
        seen[next] = 1;
        waiting.push(next);
      }
    }
    boxes.push(box);
  }
  return boxes;
}

/** How many marks stand side by side, each at least half as high as the tallest. */
export function sideBySide(boxes) {
  const tall = (box) => box.bottom - box.top + 1;
  const most = Math.max(...boxes.map(tall));
  const large = boxes.filter((box) => tall(box) >= most / 2).sort((a, b) => a.left - b.left);
  let [count, end] = [0, -1];
  for (const box of large) {
    if (box.left > end) count += 1;
    end = Math.max(end, box.right);
  }
  return count;
}

/** Whether no mark is longer than a dot made with a pen of some width. */
export function onlyDots(boxes, pen) {
  return boxes.every((box) => Math.max(box.right - box.left, box.bottom - box.top) < DOT * pen);
}
