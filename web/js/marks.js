// Marks on a picture: points and a box, as core/session/prompt.py reads them, and how they look.
// Loading this file does nothing.

import { element } from "./window.js";

export const LOOK = {
  1: { sign: "+", colour: "#1a9e3f", name: "Subject" },
  0: { sign: "−", colour: "#d6304a", name: "Background" },
};

export const isPoint = (mark) => mark.type === "point";

/** Read marks; undefined if the text holds something else. */
export function parse(text) {
  if (!text.trim()) return [];
  try {
    const marks = JSON.parse(text);
    const whole = (mark) =>
      mark?.data?.length === (mark?.type === "rectangle" ? 4 : 2) &&
      mark.data.every(Number.isFinite) &&
      (mark.type === "rectangle" || (isPoint(mark) && [0, 1].includes(mark.label)));
    return Array.isArray(marks) && marks.every(whole) ? marks : undefined;
  } catch {
    return undefined;
  }
}

/** How many marks of each kind there are, in words. */
export function count(marks) {
  const kinds = [
    ["subject point", marks.filter((mark) => isPoint(mark) && mark.label === 1).length],
    ["background point", marks.filter((mark) => isPoint(mark) && mark.label === 0).length],
    ["box", marks.filter((mark) => !isPoint(mark)).length],
  ];
  const plural = (kind) => (kind === "box" ? "boxes" : `${kind}s`);
  return kinds
    .filter(([, number]) => number)
    .map(([kind, number]) => `${number} ${number === 1 ? kind : plural(kind)}`)
    .join(", ");
}

/** The box with two places at opposite corners. */
export const boxBetween = (one, other) => [
  Math.min(one[0], other[0]),
  Math.min(one[1], other[1]),
  Math.max(one[0], other[0]),
  Math.max(one[1], other[1]),
];

/** The mark nearest to a place; -1 where there is none. */
export function nearest(marks, [x, y]) {
  const far = ({ data }) =>
    Math.min(
      ...[0, 2].map((i) => (data.length > i ? Math.hypot(data[i] - x, data[i + 1] - y) : Infinity)),
    );
  return marks.reduce((best, mark, i) => (best < 0 || far(mark) < far(marks[best]) ? i : best), -1);
}

const percent = (value, of) => `${(100 * value) / of}%`;

function drawPoint({ label, data: [x, y] }, size, index) {
  const { sign, colour, name } = LOOK[label];
  const made = element(
    "div",
    `position: absolute; left: ${percent(x, size[0])}; top: ${percent(y, size[1])};` +
      "width: 16px; height: 16px; margin: -10px; border-radius: 50%; border: 2px solid #fff;" +
      `background: ${colour}; color: #fff; box-shadow: 0 0 3px #000;` +
      "font: bold 14px/15px sans-serif; text-align: center;",
    sign,
  );
  if (index === undefined) {
    made.style.borderStyle = "dashed";
    made.style.opacity = 0.8;
  } else {
    made.style.pointerEvents = "auto";
    made.style.cursor = "pointer";
    made.dataset.mark = index;
    made.title = `${name} at ${x}, ${y}: click to remove, drag to move`;
  }
  made.dataset.label = label;
  return made;
}

function drawBox({ data: [left, top, right, bottom] }, size, index) {
  const dashed = index === undefined ? "dashed" : "solid";
  const made = element(
    "div",
    `position: absolute; left: ${percent(left, size[0])}; top: ${percent(top, size[1])};` +
      `width: ${percent(right - left, size[0])}; height: ${percent(bottom - top, size[1])};` +
      `box-sizing: border-box; border: 2px ${dashed} #4da3ff; outline: 1px solid #0008;`,
  );
  if (index !== undefined) {
    const cross = element(
      "div",
      "position: absolute; right: -2px; top: -2px; width: 16px; height: 16px;" +
        "background: #4da3ff; color: #000; font: bold 14px/15px sans-serif; text-align: center;" +
        "pointer-events: auto; cursor: pointer;",
      "×",
    );
    cross.title = "Remove the box";
    cross.dataset.mark = index;
    made.append(cross);
  }
  return made;
}

/** The place that keys set marks at. */
export function drawCursor([x, y], size) {
  const made = element(
    "div",
    `position: absolute; left: ${percent(x, size[0])}; top: ${percent(y, size[1])};` +
      "width: 24px; height: 24px; margin: -12px; border-radius: 50%;" +
      "border: 2px solid #ffd33d; box-sizing: border-box; box-shadow: 0 0 2px #000;" +
      "background: radial-gradient(circle, #ffd33d 1.5px, transparent 2px);",
  );
  made.dataset.cursor = [x, y];
  return made;
}

/**
 * Draw a mark of a picture of this size, [width, height]. One with an index is the user's own, and
 * takes the pointer: `data-mark` has the index. Others are dashed.
 */
export const drawMark = (mark, size, index) =>
  isPoint(mark) ? drawPoint(mark, size, index) : drawBox(mark, size, index);
