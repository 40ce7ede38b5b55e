// The pack's part of ComfyUI's page: official hooks only, see docs.comfy.org/custom-nodes/js.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { showDiagnosis, tellError, tellFallback } from "./diagnosis.js";
import { listen, refresh, unwatch, watch } from "./models.js";
import { makePanel, showModels } from "./panel.js";

const FALLBACK_EVENT = "rembg-sessions.fallback"; // as in nodes/host.py
const COLOUR_INPUTS = {
  RemBGRemove: "background_colour",
  RemBGApplyBackground: "colour",
  RemBGFrameSubject: "background_colour",
};
const PANEL_HEIGHT = 52;

/** Whether the frontend's colour widget works on the canvas: since 1.40. */
function hasColourWidget() {
  const [major, minor] = (window.__COMFYUI_FRONTEND_VERSION__ ?? "0.0").split(".").map(Number);
  return major > 1 || (major === 1 && minor >= 40);
}

/** A colour in the words that colour widgets understand; Python understands more. */
function asHex(colour) {
  // CSS reads the opacity in "r, g, b, a" as 0 to 1, Python as 0 to 255: left to Python
  if (typeof colour !== "string" || /^#|rgba|hsla/.test(colour)) return colour;
  if (colour.split(",").length === 4) return colour;
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = "#010203"; // stays if it is no colour
  context.fillStyle = /^[\d\s,.]+$/.test(colour) ? `rgb(${colour})` : colour;
  const hex = context.fillStyle;
  return hex.startsWith("#") && hex !== "#010203" ? hex : colour;
}

/** Call a function after one of an object's own callbacks. */
function after(object, name, then) {
  const before = object[name];
  object[name] = function (...given) {
    const result = before?.apply(this, given);
    then();
    return result;
  };
}

function addPanel(node) {
  const model = node.widgets?.find((widget) => widget.name === "model");
  if (!model) return;
  const { root, draw } = makePanel();
  const update = () => draw(model.value);
  const widget = node.addDOMWidget("model_info", "rembg_model_info", root, {
    serialize: false, // not part of what is run
    hideOnZoom: false,
    getMinHeight: () => PANEL_HEIGHT,
    getMaxHeight: () => PANEL_HEIGHT,
  });
  widget.serialize = false; // nor of what is saved
  after(model, "callback", update);
  after(node, "onAdded", () => watch(update));
  after(node, "onRemoved", () => unwatch(update));
  node.setSize([Math.max(node.size[0], 300), Math.max(node.size[1], node.computeSize()[1])]);
  // also draws this panel, once a loaded node has got its values
  refresh();
}

// Not in setup(): the page complains of events that come before somebody listens.
listen(({ model, message }) => tellError(`${model} was not downloaded`, message));

const told = new Set(); // fallbacks are told once a page, not once a run
api.addEventListener(FALLBACK_EVENT, ({ detail }) => {
  const id = `${detail.model} ${detail.wanted}`;
  if (told.has(id)) return;
  told.add(id);
  tellFallback(detail);
});

app.registerExtension({
  name: "rembg-sessions",

  aboutPageBadges: [
    {
      label: "rembg-sessions",
      url: "https://github.com/rembg-sessions/rembg-sessions",
      icon: "pi pi-image",
    },
  ],

  commands: [
    {
      id: "rembg-sessions.models",
      label: "rembg-sessions: models and downloads",
      icon: "pi pi-download",
      function: showModels,
    },
    {
      id: "rembg-sessions.diagnosis",
      label: "rembg-sessions: examine the installation",
      icon: "pi pi-wrench",
      function: () => showDiagnosis(),
    },
  ],
  menuCommands: [
    {
      path: ["Extensions"],
      commands: ["rembg-sessions.models", "rembg-sessions.diagnosis"],
    },
  ],

  beforeRegisterNodeDef(_nodeType, nodeData) {
    const name = COLOUR_INPUTS[nodeData.name];
    if (!name || !hasColourWidget()) return;
    const input = nodeData.input.optional?.[name] ?? nodeData.input.required?.[name];
    if (input?.[1]) input[1].widgetType = "COLOR";
  },

  nodeCreated(node) {
    if (node.comfyClass === "RemBGSession") addPanel(node);
  },

  loadedGraphNode(node) {
    const name = COLOUR_INPUTS[node.comfyClass];
    const widget = node.widgets?.find((widget) => widget.name === name && widget.type === "color");
    if (widget) widget.value = asHex(widget.value);
  },

  refreshComboInNodes() {
    return refresh(); // the user asks the page to look at the disk again
  },
});
