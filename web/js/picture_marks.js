// A picture on which points and a box are set, by mouse, pen or keyboard. The marks are JSON as
// core/session/prompt.py reads it, in the picture's own pixels. Loading this file does nothing.

import { boxBetween, count, drawCursor, drawMark, isPoint, LOOK } from "./marks.js";
import { nearest, parse } from "./marks.js";
import { button, element } from "./window.js";

const HEIGHT = 300; // of the whole, at least
const DRAG = 5; // pixels of the screen that the pointer moves before it is a drag
const STEPS = 50; // of the cursor, along the longer side
const HISTORY = 200;
const HOW = "Click = subject, right-click = background, drag = box.";
const KEYS =
  "Arrow keys move (Shift: one pixel), Space = subject, B = background, R = corner of a box, " +
  "Delete removes the nearest, Ctrl+Z undoes.";

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

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

  /** Set the box; there is one at most, as SAM wants it. */
  function setBox(data) {
    if (data[0] === data[2] || data[1] === data[3]) return;
    const box = { type: "rectangle", data };
    const [left, top, right, bottom] = data;
    save([...marks.filter(isPoint), box], `Box from ${left}, ${top} to ${right}, ${bottom}.`);
  }

  // -- drawing ----------------------------------------------------------------------------

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
    const shown = [...given];
    if (usesCentre()) shown.push({ type: "point", label: 1, data: size.map((side) => side >> 1) });
    const box = pressed?.box ?? (corner && cursor && boxBetween(corner, cursor));
    if (box) shown.push({ type: "rectangle", data: box });
    const made = shown.map((mark) => drawMark(mark, size));
    const own = locked ? [] : (pressed?.moved ?? marks);
    made.push(...own.map((mark, i) => drawMark(mark, size, i)));
    if (cursor) made.push(drawCursor(cursor, size));
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
    const to = place(event);
    if (!moved) pressed.box = boxBetween(pressed.from, to);
    else if (isPoint(moved)) {
      pressed.moved = marks.map((mark) => (mark === moved ? { ...mark, data: to } : mark));
    }
    draw();
  });

  frame.addEventListener("pointerup", (event) => {
    if (event.pointerId !== pressed?.pointer) return;
    const { mark, from, box, moved, drags, label } = pressed;
    pressed = undefined;
    last = place(event);
    if (box) setBox(box);
    else if (moved) save(moved, `Moved to ${moved[mark].data.join(", ")}.`);
    else if (!drags) mark === undefined ? setPoint(from, label) : remove(mark);
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
      if (marks.length) remove(nearest(marks, cursor));
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
