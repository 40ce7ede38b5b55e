// A picture on which points and a box are set, by mouse, pen or keyboard. The marks are JSON as
// core/session/prompt.py reads it, in the picture's own pixels. Loading this file does nothing.

import { button, element } from "./window.js";

const HEIGHT = 300; // of the whole, at least
const DRAG = 5; // pixels of the screen that the pointer moves before it is a drag
const STEPS = 50; // of the cursor, along the longer side
const HISTORY = 200;
const LOOK = {
  1: { sign: "+", colour: "#1a9e3f", name: "Subject" },
  0: { sign: "−", colour: "#d6304a", name: "Background" },
};
const HOW = "Click = subject, right-click = background, drag = box.";
const KEYS =
  "Arrow keys move (Shift: one pixel), Space = subject, B = background, R = corner of a box, " +
  "Delete removes the nearest, Ctrl+Z undoes.";

const isPoint = (mark) => mark.type === "point";
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Read marks; undefined if the text holds something else. */
function parse(text) {
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

function count(marks) {
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

/**
 * Make an editor: its element; `write` and `read` for the JSON; `show` for a picture, which is
 * {url, width, height} or undefined, without a size for the file's own; `tell` for what a run
 * brought, marks of other nodes (`given`) and sentences (`notes`), whether other nodes may give
 * marks (`others`), and whether a text is linked in place of these (`locked`).
 * `changed` is called when the user has changed the marks, `failed` with the address of a picture
 * that the browser cannot show.
 */
export function makeMarks({ changed, failed }) {
  let text = ""; // what is saved; the marks are read from it
  let marks = [];
  let given = []; // marks of other nodes, from the last run
  let others = false; // whether other nodes may give marks
  let notes = [];
  let past = [];
  let picture; // what is shown
  let size; // its width and height, once they are known
  let label = 1; // of a plain click
  let cursor; // where keys set marks
  let last; // where the mouse, or the cursor, was last
  let corner; // of the box that keys draw
  let pressed; // the pointer's way
  let said = ""; // what was done last, for those who listen
  let locked = false;

  const undoing = button("Undo", "Undo the last mark (Ctrl+Z)", undo);
  const clearing = button("Clear", "Remove all marks", () => save([], "All marks removed."));
  const choices = [1, 0].map((value) => {
    const { sign, name } = LOOK[value];
    const choice = button(`${sign} ${name}`, `A click sets ${name.toLowerCase()} points`, () => {
      label = value;
      draw();
    });
    choice.dataset.label = value;
    return choice;
  });
  const gap = element("span", "flex: 1;");
  const bar = element("div", "display: flex; gap: 4px;", ...choices, gap, undoing, clearing);
  const image = element(
    "img",
    "position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none;",
  );
  image.draggable = false;
  const layer = element("div", "position: absolute; inset: 0; pointer-events: none;");
  // an input, and not the frame itself: the page keeps its own Ctrl+Z from inputs alone
  const keys = element(
    "input",
    "position: absolute; inset: 0; width: 100%; height: 100%; opacity: 0; pointer-events: none;",
  );
  keys.readOnly = true;
  keys.setAttribute("aria-label", `Picture to mark. ${KEYS}`);
  const frame = element(
    "div",
    "position: relative; outline-offset: -2px; touch-action: none;",
    image,
    keys,
    layer,
  );
  frame.className = "rembg-sessions-picture";
  const empty = element("div", "padding: 0 12px; text-align: center;");
  const area = element(
    "div",
    "flex: 1; min-height: 0; overflow: hidden; display: grid; place-items: center;" +
      "container-type: size; border-radius: 4px; background: var(--comfy-input-bg, #222);",
    frame,
    empty,
  );
  const line = element("div", "min-height: 30px; line-height: 15px; overflow: hidden;");
  line.setAttribute("aria-live", "polite");
  const root = element(
    "div",
    `display: flex; flex-direction: column; gap: 4px; min-height: ${HEIGHT}px;` +
      "box-sizing: border-box; font: 12px sans-serif; color: var(--descrip-text, #aaa);" +
      "user-select: none; -webkit-user-select: none;",
    bar,
    area,
    line,
  );
  root.className = "rembg-sessions-marks";

  // -- marks ------------------------------------------------------------------------------

  function save(wanted, words) {
    past.push(text);
    past = past.slice(-HISTORY);
    marks = wanted;
    text = marks.length ? JSON.stringify(marks) : "";
    notes = []; // they are of the last run
    said = words;
    draw();
    changed();
  }

  function undo() {
    if (!past.length) return;
    text = past.pop();
    marks = parse(text) ?? [];
    said = "Undone.";
    draw();
    changed();
  }

  const setPoint = (at, value) =>
    save(
      [...marks, { type: "point", label: value, data: at }],
      `${LOOK[value].name} at ${at.join(", ")}.`,
    );

  const remove = (index) =>
    save(
      marks.filter((_, each) => each !== index),
      isPoint(marks[index]) ? "Point removed." : "Box removed.",
    );

  const boxBetween = (one, other) => [
    Math.min(one[0], other[0]),
    Math.min(one[1], other[1]),
    Math.max(one[0], other[0]),
    Math.max(one[1], other[1]),
  ];

  /** Set the box; there is one at most, as SAM wants it. */
  function setBox(data) {
    if (data[0] === data[2] || data[1] === data[3]) return;
    const box = { type: "rectangle", data };
    save([...marks.filter(isPoint), box], `Box from ${data[0]}, ${data[1]} to ${data[2]}, ${data[3]}.`);
  }

  /** The mark nearest to a place; -1 where there is none. */
  function nearest([x, y]) {
    const far = ({ data }) =>
      Math.min(
        ...[0, 2].map((i) => (data.length > i ? Math.hypot(data[i] - x, data[i + 1] - y) : Infinity)),
      );
    return marks.reduce((best, mark, i) => (best < 0 || far(mark) < far(marks[best]) ? i : best), -1);
  }

  // -- drawing ----------------------------------------------------------------------------

  const percent = (value, of) => `${(100 * value) / of}%`;

  function drawPoint({ label, data: [x, y] }, index) {
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

  function drawBox({ data: [left, top, right, bottom] }, index, pending = false) {
    const dashed = index === undefined ? "dashed" : "solid";
    const made = element(
      "div",
      `position: absolute; left: ${percent(left, size[0])}; top: ${percent(top, size[1])};` +
        `width: ${percent(right - left, size[0])}; height: ${percent(bottom - top, size[1])};` +
        `box-sizing: border-box; border: 2px ${dashed} #4da3ff; outline: 1px solid #0008;`,
    );
    made.dataset.box = pending ? "pending" : dashed;
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

  function drawCursor([x, y]) {
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

  const drawMark = (mark, index) =>
    isPoint(mark) ? drawPoint(mark, index) : drawBox(mark, index);

  function isOutside({ data }) {
    return data.some((value, i) => value < 0 || value > size[i % 2]);
  }

  const usesCentre = () => !locked && !others && !text.trim();

  function sentence() {
    if (locked) return ["A text is linked in place of these marks.", ...notes].join(" ");
    if (text.trim() && !parse(text)) return "These are no marks. Clear, and set them anew.";
    if (!size) return marks.length ? `${count(marks)}, shown once the picture is here.` : "";
    if (marks.some(isOutside)) {
      return `Marks lie outside this picture, which is ${size[0]}×${size[1]}: remove them.`;
    }
    if (cursor && !said) return KEYS;
    const words = [said, marks.length ? `${count(marks)}.` : "", ...notes];
    if (!marks.length && !said && !notes.length) words.push(HOW);
    if (usesCentre() && !notes.length) words.push("Nothing marked: the centre.");
    return words.filter(Boolean).join(" ");
  }

  function draw() {
    frame.style.display = size ? "" : "none";
    empty.style.display = size ? "none" : "";
    undoing.disabled = locked || !past.length;
    clearing.disabled = locked || !text.trim();
    keys.disabled = locked;
    frame.style.cursor = locked ? "default" : "crosshair";
    for (const choice of choices) {
      const chosen = Number(choice.dataset.label) === label;
      choice.setAttribute("aria-pressed", chosen);
      const { colour } = LOOK[choice.dataset.label];
      choice.style.boxShadow = chosen ? `inset 0 0 0 2px ${colour}` : "";
    }
    for (const each of [undoing, clearing]) each.style.opacity = each.disabled ? 0.5 : 1;
    const words = sentence();
    if (line.textContent !== words) line.textContent = words;
    if (!size) return layer.replaceChildren();
    const [width, height] = size;
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.style.width = `min(100cqw, ${(100 * width) / height}cqh)`;
    const made = given.map((mark) => drawMark(mark));
    if (usesCentre()) made.push(drawPoint({ label: 1, data: size.map((side) => side >> 1) }));
    if (!locked) made.push(...marks.map(drawMark));
    const box = pressed?.box ?? (corner && cursor && boxBetween(corner, cursor));
    if (box) made.push(drawBox({ data: box }, undefined, true));
    if (cursor) made.push(drawCursor(cursor));
    layer.replaceChildren(...made);
  }

  // -- mouse, pen, finger -----------------------------------------------------------------

  function place(event) {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [
      Math.round(clamp((event.clientX - left) / width, 0, 1) * size[0]),
      Math.round(clamp((event.clientY - top) / height, 0, 1) * size[1]),
    ];
  }

  frame.addEventListener("pointerdown", (event) => {
    if (locked || event.button === 1 || pressed) return; // the middle one moves the canvas
    const found = event.target.closest("[data-mark]")?.dataset.mark;
    pressed = {
      pointer: event.pointerId,
      from: place(event),
      client: [event.clientX, event.clientY],
      mark: found === undefined ? undefined : Number(found),
      label: event.button === 2 || event.ctrlKey ? 0 : label,
    };
    frame.setPointerCapture(event.pointerId);
    keys.focus({ preventScroll: true });
    cursor = corner = undefined;
    draw();
  });

  frame.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pressed?.pointer) return;
    const [x, y] = pressed.client;
    pressed.drags ||= Math.hypot(event.clientX - x, event.clientY - y) > DRAG;
    if (!pressed.drags) return;
    const moved = marks[pressed.mark];
    if (!moved) pressed.box = boxBetween(pressed.from, place(event));
    else if (isPoint(moved)) pressed.to = place(event);
    draw();
    if (pressed.to) {
      const shown = layer.querySelector(`[data-mark="${pressed.mark}"]`);
      shown.style.left = percent(pressed.to[0], size[0]);
      shown.style.top = percent(pressed.to[1], size[1]);
    }
  });

  frame.addEventListener("pointerup", (event) => {
    if (event.pointerId !== pressed?.pointer) return;
    const { mark, from, box, to, drags, label } = pressed;
    pressed = undefined;
    last = to ?? place(event);
    if (box) setBox(box);
    else if (to) {
      const moved = marks.map((each, i) => (i === mark ? { ...each, data: to } : each));
      save(moved, `Moved to ${to.join(", ")}.`);
    } else if (!drags) mark === undefined ? setPoint(from, label) : remove(mark);
    draw();
  });

  for (const name of ["pointercancel", "lostpointercapture"]) {
    frame.addEventListener(name, () => {
      if (!pressed) return;
      pressed = undefined;
      draw();
    });
  }

  root.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });

  // -- keyboard ---------------------------------------------------------------------------

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /** Where the mouse was last, or in the centre. */
  function startCursor() {
    cursor ??= last ?? size.map((side) => Math.round(side / 2));
  }

  function move([x, y], fine) {
    const step = fine ? 1 : Math.max(1, Math.round(Math.max(...size) / STEPS));
    cursor = [clamp(cursor[0] + step * x, 0, size[0]), clamp(cursor[1] + step * y, 0, size[1])];
    last = cursor;
    said = `${cursor.join(", ")}.`;
  }

  function drawCorner() {
    if (corner) setBox(boxBetween(corner, cursor));
    else said = "One corner of the box. Move on, and press R again.";
    corner = corner ? undefined : cursor;
  }

  /** Do what a key says; false if it says nothing here. */
  function act({ key, shiftKey }) {
    if (key in ARROWS) move(ARROWS[key], shiftKey);
    else if (key === " " || key === "Enter") setPoint(cursor, 1);
    else if (key === "b" || key === "B") setPoint(cursor, 0);
    else if (key === "r" || key === "R") drawCorner();
    else if (key === "Delete" || key === "Backspace") {
      if (marks.length) remove(nearest(cursor));
    } else if (key === "Escape" && corner) corner = undefined;
    else return false;
    return true;
  }

  keys.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey;
    const undoes = command && !event.shiftKey && event.key.toLowerCase() === "z";
    if ((command && !undoes) || event.altKey || !size) return;
    startCursor();
    if (undoes) undo();
    else if (!act(event)) return;
    event.preventDefault(); // nor does the page remove the node, or undo what came before
    event.stopPropagation();
    draw();
  });

  keys.addEventListener("focus", () => {
    if (pressed || !size) return;
    frame.style.outline = "2px solid #ffd33d";
    startCursor();
    said = "";
    draw();
  });

  keys.addEventListener("blur", () => {
    frame.style.outline = "none";
    cursor = corner = undefined;
    draw();
  });

  // -- from outside -----------------------------------------------------------------------

  image.addEventListener("load", () => {
    size = [picture.width || image.naturalWidth, picture.height || image.naturalHeight];
    cursor = last = corner = undefined;
    draw();
  });
  image.addEventListener("error", () => failed(picture.url));

  function show(wanted, why) {
    empty.textContent = why;
    if (wanted?.url === picture?.url) return;
    picture = wanted;
    if (picture) {
      image.src = picture.url;
      return; // until it is here, the last one stays
    }
    image.removeAttribute("src");
    size = cursor = last = corner = undefined;
    draw();
  }

  function write(value) {
    text = String(value ?? "");
    marks = parse(text) ?? [];
    draw();
  }

  function tell(told) {
    ({ given, notes, others, locked } = told);
    said = "";
    if (locked) cursor = corner = undefined;
    draw();
  }

  draw();
  return { root, read: () => text, write, show, tell };
}
