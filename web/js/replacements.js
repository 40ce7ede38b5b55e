// Shows the values that workflows of other packs hold in our words: ComfyUI copies them as they
// are when it swaps a node. The nodes run with either.

import { app } from "../../../scripts/app.js";
import { ask } from "./models.js";

// the inputs that nodes/foreign.py reads; the choices among them tell that there is something
// to read
const CHOICES = ["model", "device", "background", "edge_colours", "alpha_matting", "detail"];
const READ = [...CHOICES, "background_colour", "invert", "grow", "feather"];
const NODES = ["RemBGSession", "RemBGRemove"];

function isForeign(widget) {
  const listed = widget.options?.values;
  return CHOICES.includes(widget.name) && Array.isArray(listed) && !listed.includes(widget.value);
}

async function translate(node) {
  const widgets = (node.widgets ?? []).filter((widget) => READ.includes(widget.name));
  if (!widgets.some(isForeign)) return;
  const values = widgets.map(({ name, value }) => [name, value]);
  const own = await ask("own-values", Object.fromEntries(values));
  for (const widget of widgets) {
    if (!(widget.name in own) || own[widget.name] === widget.value) continue;
    widget.value = own[widget.name];
    widget.callback?.(widget.value);
  }
  app.canvas?.setDirty(true, true);
}

/** Take the ending off a file name at once: ComfyUI looks for the file as soon as it is swapped. */
function withoutEnding(value) {
  return typeof value === "string" ? value.replace(/\.safetensors$/, "") : value;
}

/** Translate a node once all of its values are there: a swap sets one after the other. */
function watch(node) {
  let waiting = false;
  for (const widget of node.widgets ?? []) {
    if (!CHOICES.includes(widget.name)) continue;
    const before = widget.callback;
    widget.callback = function (...given) {
      if (isForeign(widget)) widget.value = withoutEnding(widget.value);
      const result = before?.apply(this, given);
      if (!waiting && isForeign(widget)) {
        waiting = true;
        setTimeout(() => {
          waiting = false;
          translate(node).catch(() => {}); // the server is away: it understands either
        });
      }
      return result;
    };
  }
}

/**
 * Tell a node that it is in the graph, and the graph that it has changed: a swap does not. Text
 * boxes and panels wait for the one. Without the other, frontend 1.58 draws the old node once
 * more, fails, and draws nothing ever after.
 */
function tellAdded(node) {
  let told = false;
  const before = node.onAdded;
  node.onAdded = function (...given) {
    told = true;
    return before?.apply(this, given);
  };
  queueMicrotask(() => {
    // after the swap, before the next frame
    if (told || !node.graph) return;
    node.onAdded(node.graph);
    const [width, height] = node.computeSize(); // it was made as large as the old node
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
    node.graph.incrementVersion?.();
    node.graph.setDirtyCanvas(true, true);
  });
}

app.registerExtension({
  name: "rembg-sessions.replacements",

  nodeCreated(node) {
    if (NODES.includes(node.comfyClass)) watch(node);
    if (node.comfyClass?.startsWith("RemBG")) tellAdded(node);
  },

  loadedGraphNode(node) {
    if (NODES.includes(node.comfyClass)) translate(node).catch(() => {});
  },
});
