// The picture of RemBG SAM Prompt: in place of its text box, and of the same value.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { after, isOpen } from "./node_info.js";
import { makeMarks } from "./picture_marks.js";

const NODE = "RemBGSAMPrompt";
const WIDGET = "REMBG_SAM_MARKS";
const [WIDTH, HEIGHT] = [400, 520]; // of a new node, at least
const PICTURE_HEIGHT = 320; // of the widget, at least
const LOOK_EVERY = 500; // milliseconds
const FIRST_REST = 250; // milliseconds, and four times as long after each failure
const OTHERS = ["bounding_box", "mask", "coordinates", "negative_coordinates"];
const LOADERS = ["LoadImage", "LoadImageOutput"];
const BYPASSED = 4;
const SUBGRAPH_INPUT = -10; // what the nodes of a subgraph take its inputs for
const FARTHEST = 50; // links that are followed

// -- where the picture comes from --------------------------------------------------------

const linkOf = (graph, id) => graph.links?.get?.(id) ?? graph.links?.[id];

/** The node of a subgraph: the one that the way led through, or the first. */
function hostOf(graph, known) {
  if (known?.subgraph === graph) return known;
  const root = graph.rootGraph ?? app.graph;
  const graphs = [root, ...(root.subgraphs?.values() ?? [])];
  return graphs.flatMap(({ nodes }) => nodes).find(({ subgraph }) => subgraph === graph);
}

/** The node and its output at the other end of a link; `host` is the subgraph's that it is in. */
function originOf(graph, id, host) {
  const link = id == null ? undefined : linkOf(graph, id);
  if (!link) return undefined;
  if (Number(link.origin_id) !== SUBGRAPH_INPUT) {
    return { node: graph.getNodeById(link.origin_id), slot: link.origin_slot, host };
  }
  const outer = hostOf(graph, host);
  return outer && originOf(outer.graph, outer.inputs?.[link.origin_slot]?.link);
}

/** What a node only hands on: through subgraphs, reroutes, and what is bypassed. */
function behind({ node, slot, host }) {
  const inside = node.subgraph;
  if (inside) return originOf(inside, inside.outputs?.[slot]?.linkIds?.[0], node);
  if (!node.isVirtualNode && node.mode !== BYPASSED) return undefined;
  const input = node.isVirtualNode ? node.inputs?.[0] : node.inputs?.find(isImage);
  return originOf(node.graph, input?.link, host);
}

const isImage = ({ type }) => type === "IMAGE";
const named = (name) => (each) => each.name === name;

/** The file that a Load Image node opens; it may be chosen on the subgraph that holds the node. */
function chosenFile({ node, host }) {
  const input = node.inputs?.find(named("image"));
  if (input?.link == null) return node.widgets?.find(named("image"))?.value;
  const link = linkOf(node.graph, input.link);
  if (Number(link?.origin_id) !== SUBGRAPH_INPUT) return undefined;
  const outer = hostOf(node.graph, host);
  const handed = outer?.inputs?.[link.origin_slot];
  return handed?.link == null ? outer?.widgets?.find(named(handed?.name))?.value : undefined;
}

/** The file of the Load Image node that a node's image comes from; undefined for others. */
function findFile(node) {
  let origin = originOf(node.graph, node.inputs?.find(named("image"))?.link);
  for (let i = 0; origin?.node && i < FARTHEST; i++) {
    const next = behind(origin);
    if (!next) break;
    origin = next;
  }
  if (!origin?.node || origin.slot !== 0 || !LOADERS.includes(origin.node.comfyClass)) {
    return undefined;
  }
  const value = chosenFile(origin);
  if (typeof value !== "string" || !value) return undefined;
  // "folder/name.png [output]"
  const [, path, type] = value.match(/^(.*?)(?: \[(input|output|temp)\])?$/s);
  const at = path.lastIndexOf("/");
  return {
    filename: path.slice(at + 1),
    subfolder: path.slice(0, Math.max(at, 0)),
    type: type ?? (origin.node.comfyClass === "LoadImageOutput" ? "output" : "input"),
  };
}

/** A picture to show: of {filename, subfolder, type}, and its size where that is not the file's. */
function pictureOf({ filename, subfolder, type, width, height }) {
  const query = new URLSearchParams({ filename, subfolder, type });
  return { url: api.apiURL(`/view?${query}`), width, height };
}

/** What the last run of a node told the page. */
function lastOutput(node) {
  const outputs = app.nodeOutputs ?? {};
  const output = outputs[`${node.graph?.id}:${node.id}`] ?? outputs[node.id];
  return output?.sam_prompt?.[0];
}

// -- the widget --------------------------------------------------------------------------

/** Whether Vue nodes show DOM widgets; older ones leave them out, but show text boxes. */
function showsElements() {
  const [major, minor] = (window.__COMFYUI_FRONTEND_VERSION__ ?? "0.0").split(".").map(Number);
  return major > 1 || (major === 1 && minor >= 40);
}

/** Let the page know of a change, for its own undo and the mark of unsaved workflows. */
function noteChange() {
  const tracker = app.extensionManager.workflow?.activeWorkflow?.changeTracker;
  (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
}

/** The wheel and the middle button move the canvas, as everywhere; no other moves the node. */
function shareWithCanvas(root) {
  root.addEventListener("wheel", (event) => {
    if (LiteGraph.vueNodesMode) return; // they do it themselves
    event.preventDefault();
    app.canvas.processMouseWheel(event);
  });
  const middle = {
    pointerdown: (event) => event.button === 1 && app.canvas.processMouseDown(event),
    pointermove: (event) => event.buttons & 4 && app.canvas.processMouseMove(event),
    pointerup: (event) => event.button === 1 && app.canvas.processMouseUp(event),
  };
  for (const [name, pass] of Object.entries(middle)) {
    root.addEventListener(name, (event) => {
      event.stopPropagation();
      pass(event);
    });
  }
}

function makeWidget(node, name) {
  // addresses that the browser could not show: how often, and until when they rest. A file may be
  // on its way to the server.
  const broken = new Map();
  const rests = ({ url }) => Date.now() < (broken.get(url)?.until ?? 0);
  const editor = makeMarks({
    changed: noteChange,
    failed: (url) => {
      const times = (broken.get(url)?.times ?? 0) + 1;
      broken.set(url, { times, until: Date.now() + FIRST_REST * 4 ** times });
      look();
    },
  });
  let told;

  const isLinked = (input) =>
    node.inputs?.some(({ name, link }) => name === input && link != null) ?? false;

  function look() {
    const output = lastOutput(node);
    const pictures = [findFile(node), output?.picture].filter(Boolean).map(pictureOf);
    const found = isLinked("image") && pictures.find((each) => !rests(each));
    const why = isLinked("image")
      ? "The picture is shown here after a run."
      : "Connect an image. One of Load Image is shown at once, any other after a run.";
    editor.show(found || undefined, why);
    const state = [output, isLinked(name), OTHERS.some(isLinked)];
    if (told && state.every((each, i) => each === told[i])) return;
    told = state;
    const { drawn = [], marks = [], notes = [] } = output ?? {};
    const [, locked, others] = state;
    editor.tell({ given: locked ? [...drawn, ...marks] : marks, notes, others, locked });
  }

  const type = showsElements() ? WIDGET : "customtext";
  const widget = node.addDOMWidget(name, type, editor.root, {
    getValue: editor.read,
    setValue: editor.write,
    getMinHeight: () => PICTURE_HEIGHT,
    hideOnZoom: false,
  });
  widget.callback = editor.write; // a text box in its place
  shareWithCanvas(editor.root);

  // looked for again and again: nothing tells of a file that is chosen behind a subgraph
  let timer;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
  };
  after(node, "onAdded", () => {
    timer ??= setInterval(() => (isOpen(node) ? look() : stop()), LOOK_EVERY);
    look();
  });
  after(node, "onRemoved", stop);
  return { widget, minWidth: WIDTH, minHeight: HEIGHT };
}

app.registerExtension({
  name: "rembg-sessions.sam-prompt",

  getCustomWidgets: () => ({ [WIDGET]: makeWidget }),

  beforeRegisterNodeDef(_nodeType, nodeData) {
    if (nodeData.name !== NODE) return;
    const options = nodeData.input.required?.points?.[1];
    if (options) options.widgetType = WIDGET;
  },
});
