// What our nodes show of themselves below their widgets: the model, and what was wrong in the
// last run. Loading this file does nothing.

import { app } from "../../../scripts/app.js";
import { findModel, refresh, unwatch, watch } from "./models.js";
import { makePanel, PANEL_HEIGHT } from "./panel.js";
import { element } from "./window.js";

const KEPT = "rembg_warnings"; // in the node's properties: they outlive a reload
const LINE_HEIGHT = 16;
const LINES = 3; // of one warning; the rest is in its title
const WIDTH = 360;

/** Call a function after one of an object's own callbacks. */
export function after(object, name, then) {
  const before = object[name];
  object[name] = function (...given) {
    const result = before?.apply(this, given);
    then(...given);
    return result;
  };
}

function drawWarnings(box, warnings) {
  const clamp =
    `display: -webkit-box; -webkit-line-clamp: ${LINES}; -webkit-box-orient: vertical;` +
    `overflow: hidden; line-height: ${LINE_HEIGHT}px; color: var(--warning-text, #fa0);`;
  box.replaceChildren(
    ...warnings.map((text) => {
      const line = element("div", clamp, `⚠ ${text}`);
      line.title = text;
      return line;
    }),
  );
}

/** Tick the models in the list that are there already, and shorten what is longer than a node. */
function labelChoices(model) {
  if (!model.options) return;
  model.options.getOptionLabel = (value) => {
    const row = findModel(value);
    if (!row) return `${value ?? ""}`;
    const shown = value === row.choice ? row.shown : value;
    return row.installed || row.kind || !row.has_file ? `✓ ${shown}` : shown;
  };
}

/** Whether a session is linked, which wins over the node's own model. */
const hasSession = (node) =>
  node.inputs?.some(({ name, link }) => name === "session" && link != null) ?? false;

const noRoom = () => [0, -4]; // the canvas adds 4 between widgets

/**
 * Fold the rare widgets away on the canvas, as Vue nodes do by themselves: "Show Advanced" of the
 * node's menu brings them back. The canvas does not draw them then, but leaves room for them.
 */
export function foldAdvanced(node, { input }) {
  const options = { ...input?.required, ...input?.optional };
  const isLinked = (name) =>
    node.inputs?.some(({ widget, link }) => widget?.name === name && link != null);
  for (const widget of node.widgets ?? []) {
    if (!options[widget.name]?.[1]?.advanced) continue;
    widget.advanced = true;
    let own = widget.computeSize;
    Object.defineProperty(widget, "computeSize", {
      get: () =>
        LiteGraph.vueNodesMode || node.showAdvanced || isLinked(widget.name) ? own : noRoom,
      set: (value) => {
        own = value;
      },
      configurable: true,
      enumerable: true,
    });
  }
}

/** Make a new node as high as what it shows; a saved one gets its own size afterwards. */
export function fitHeight(node) {
  node.setSize([node.size[0], node.computeSize()[1]]);
}

/**
 * Whether a node is in the open workflow. Nodes in a subgraph are not told, as others are, when
 * another workflow takes its place; undo does that, too.
 */
export function isOpen({ graph }) {
  const root = graph?.rootGraph ?? graph;
  return Boolean(graph) && (graph === root || root.subgraphs.get(graph.id) === graph);
}

const forgets = new WeakMap(); // by node: what a new run does to it

/** A node begins to run: what it warned of the last time is not true any more. */
export function forgetWarnings(id) {
  let node;
  let graph = app.graph;
  for (const each of String(id).split(":")) {
    node = graph?.getNodeById(each); // all but the last hold subgraphs
    graph = node?.subgraph;
  }
  forgets.get(node)?.();
}

/** Add what is shown below the widgets of a node. */
export function addInfo(node) {
  const model = node.widgets?.find((widget) => widget.name === "model");
  const panel = model && makePanel();
  const linked = element(
    "div",
    "padding: 0 6px; line-height: 24px; color: var(--descrip-text, #aaa);",
    "the linked session's model is used",
  );
  const box = element("div", "padding: 0 6px;");
  const root = element(
    "div",
    "display: flex; flex-direction: column; font: 12px sans-serif; overflow: hidden;",
    ...(panel ? [panel.root, linked] : []),
    box,
  );
  const warnings = () => node.properties?.[KEPT] ?? [];
  let margin = 0; // which the canvas takes off, above and below
  const height = () => {
    const above = !panel ? 0 : hasSession(node) ? LINE_HEIGHT + 8 : PANEL_HEIGHT;
    const all = above + warnings().length * LINES * LINE_HEIGHT;
    return all && all + 2 * margin;
  };
  const widget = node.addDOMWidget("rembg_info", "rembg_info", root, {
    serialize: false, // not part of what is run
    hideOnZoom: false,
    getMinHeight: height,
    getMaxHeight: height,
  });
  widget.serialize = false; // nor of what is saved
  margin = widget.margin ?? 10;
  const update = () => {
    if (!panel) return;
    const session = hasSession(node);
    model.disabled = session;
    if (model.options) model.options.disabled = session;
    panel.root.style.display = session ? "none" : "flex";
    linked.style.display = session ? "" : "none";
    if (!session) panel.draw(model.value);
    app.canvas?.setDirty(true); // the ticks in the list
  };
  const fit = () => {
    drawWarnings(box, warnings());
    const needed = node.computeSize();
    node.setSize([Math.max(node.size[0], WIDTH), Math.max(node.size[1], needed[1])]);
    app.canvas?.setDirty(true, true);
  };
  after(node, "onConfigure", fit); // a saved node has got its properties
  const keep = (texts) => {
    node.properties ??= {};
    if (texts.length) node.properties[KEPT] = [...texts];
    else delete node.properties[KEPT];
    fit();
  };
  after(node, "onExecuted", (output) => keep(output?.[KEPT] ?? []));
  forgets.set(node, () => warnings().length && keep([]));
  if (panel) {
    labelChoices(model);
    after(model, "callback", update);
    after(node, "onConnectionsChange", () => queueMicrotask(update)); // once it has changed
    const follow = () => (isOpen(node) ? update() : unwatch(follow));
    after(node, "onAdded", () => {
      watch(follow);
      update();
    });
    after(node, "onRemoved", () => unwatch(follow));
    refresh(); // also draws this panel, once a loaded node has got its values
  }
  update();
  fit();
}
