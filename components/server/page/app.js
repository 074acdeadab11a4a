// The page: which model and version, what is asked, and which text is looked into.

import { Activity, FEATURES } from "./activity.js";
import { ApiError, get, method, model, post } from "./api.js";
import { asCurl, asPython } from "./copy.js";
import { $, el, segments, signed, visible } from "./dom.js";
import { HeatMap } from "./heatmap.js";
import { showDynamics } from "./plots.js";
import { showForm } from "./predict.js";
import { showNext, TextView } from "./text.js";
import { makeControls, requestBody, write } from "./write.js";

const LONGEST_LOOK = 2000; // characters of a text that is looked into: each costs layers × units numbers

let name = "";
let versions = [];
let version = null;
let looked = null; // {text, version} at hand
let activity = null;
let layer = 0;
let picked = { unit: 0, place: 0 };
let stopping = null;

// ---- What is wrong, in words ----------------------------------------------------------------------------------------

function notice(error) {
  $("notice").textContent = error === null ? "" : error.message;
  $("notice").hidden = error === null;
}

/** Runs what was asked for; what is refused is told. */
const asked = (action) => async (event) => {
  event?.preventDefault?.();
  notice(null);
  try {
    await action();
  } catch (error) {
    if (error.name !== "AbortError") notice(error);
    if (error.status === 404) readVersions().catch(() => {}); // a version went while the page was open
  }
};

// ---- Model and versions ---------------------------------------------------------------------------------------------

async function readVersions() {
  const { model_version_status: found } = await get(model(name));
  const now = found.filter(({ state }) => state === "AVAILABLE").map((status) => status.version);
  if (found.some(({ state }) => state === "LOADING")) setTimeout(() => readVersions().catch(() => {}), 2000);
  if (now.join() === versions.join()) return;
  versions = now;
  if (!versions.includes(version)) version = versions[0] ?? null;
  segments($("versions"), "version", versions.map((value) => ({ value, text: value })), version, (value) => {
    version = value;
    showCompare();
    if (looked !== null) asked(() => look(looked.text, version))();
  });
  $("versions").hidden = versions.length === 0;
  showCompare();
}

function showCompare() {
  const others = versions.filter((value) => value !== version);
  const chosen = $("compare").value;
  const option = (value, textContent) => el("option", { value, textContent, selected: value === chosen });
  $("compare").replaceChildren(option("", "nothing"), ...others.map((value) => option(value, `version ${value}`)));
  $("compare-label").hidden = others.length === 0 || !$("other").hidden;
}

async function start() {
  makeControls();
  const ready = await (await fetch("readyz")).json();
  name = ready.name;
  document.title = `${name} · RNN playground`;
  $("model-name").textContent = name;
  await readVersions();
  if (version === null) {
    notice(new Error("No version of the model is loaded yet. This page looks again every few seconds."));
    setTimeout(() => location.reload(), 3000);
    return;
  }
  const { metadata } = await get(`${model(name, version)}/metadata`);
  const signatures = metadata.signature_def.signature_def;
  const writes = "inspect" in signatures;
  $("language").hidden = !writes;
  $("other").hidden = writes;
  showCompare();
  if (!writes) showForm(name, signatures, () => version);
  // Versions come and go while the page is open.
  addEventListener("focus", asked(readVersions));
}

// ---- Writing --------------------------------------------------------------------------------------------------------

async function begin() {
  if (stopping !== null) return;
  const body = requestBody();
  // Drawn here, not by the server: two versions get the same one, and what is copied gives this text again.
  body.seed ??= crypto.getRandomValues(new Uint32Array(1))[0];
  last = body;
  const compared = [version, $("compare").value].filter(Boolean);
  stopping = new AbortController();
  setWriting(true);
  const begun = performance.now();
  try {
    const columns = await write(name, compared, body, stopping.signal, (text, of) => asked(() => look(text, of))());
    const errors = columns.map((column) => column.error).filter((error) => error !== null);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    $("status").textContent = stopping.signal.aborted ? `Stopped after ${seconds} s.` : `Done in ${seconds} s.`;
    if (errors.length) {
      $("status").textContent = "";
      throw errors[0];
    }
    written = columns[0].samples[0];
    if (written.text) await look(written.text, columns[0].version);
  } finally {
    stopping = null;
    setWriting(false);
  }
}

let last = null; // the body of the last request
let written = null; // the text that `Go on` goes on from

function setWriting(on) {
  $("go").disabled = on;
  $("stop").disabled = !on;
  $("go-on").disabled = on || written === null;
  document.body.classList.toggle("writing", on);
  if (on) $("status").textContent = "Writing …";
}

async function goOn() {
  $("prompt").value = written.text;
  await begin();
}

async function copy(make) {
  // With the seed of the text that is shown, where the request is still the one that wrote it.
  const body = requestBody();
  if (body.seed === undefined && last !== null) body.seed = last.seed;
  const code = make(name, version, body);
  $("snippet").textContent = code;
  $("snippet").hidden = false;
  try {
    await navigator.clipboard.writeText(code);
    $("copied").textContent = "Copied.";
  } catch {
    // No clipboard without https, but on this very machine.
    getSelection().selectAllChildren($("snippet"));
    $("copied").textContent = "Selected: copy it with Ctrl C.";
  }
}

// ---- Looking inside -------------------------------------------------------------------------------------------------

const textView = new TextView((place) => pick({ ...picked, place }));
const heatMap = new HeatMap(
  (found) => {
    document.querySelector("[name=colouring][value=unit]").checked = true;
    pick(found);
  },
  ({ unit, place }) => describe(unit, place),
);

async function look(text, of) {
  looked = { text, version: of };
  const shown = [...text].slice(0, LONGEST_LOOK).join("");
  const wanted = looked;
  const [inspected, dynamics] = await Promise.all([
    post(method(name, of, "inspect"), { text: shown, top: 8 }),
    post(method(name, of, "dynamics"), { text: shown }),
  ]);
  if (wanted !== looked) return; // another text came in between
  activity = new Activity(inspected);
  layer = Math.min(layer, activity.layers - 1);
  picked = { unit: Math.min(picked.unit, activity.units - 1), place: Math.min(picked.place || 1, activity.places - 1) };
  $("inside").hidden = false;
  const cut = shown.length < text.length ? ` Its first ${LONGEST_LOOK.toLocaleString("en")} characters.` : "";
  $("seen-by").textContent = `As version ${of} sees it.${cut}`;
  const numbers = Array.from({ length: activity.layers }, (_, i) => ({ value: String(i), text: String(i + 1) }));
  segments($("layers"), "layer", numbers, String(layer), (value) => {
    layer = Number(value);
    showUnits();
  });
  $("unit").max = activity.units - 1;
  [$("low").textContent, $("high").textContent] = [signed(-activity.scale, 1), signed(activity.scale, 1)];
  textView.show(activity, shown);
  showUnits();
  showDynamics(dynamics);
}

function showUnits() {
  const numbers = Array.from({ length: activity.units }, (_, unit) => unit);
  heatMap.show(activity, layer, $("order").value === "number" ? numbers : activity.byVariation(layer));
  pick(picked);
}

function pick(to) {
  const changed = to.unit !== picked.unit;
  picked = to;
  textView.pick(picked.place);
  showNext(activity, picked.place);
  heatMap.pick(picked);
  if (changed || document.activeElement !== $("unit")) $("unit").value = picked.unit;
  describe(picked.unit, picked.place);
  colour();
}

const colouring = () => document.querySelector("[name=colouring]:checked").value;

let coloured = ""; // what the text is coloured by: pointing at another place changes nothing of it

function colour() {
  const key = [colouring(), layer, picked.unit, looked.version, looked.text].join("\u0000");
  if (key === coloured) return;
  coloured = key;
  textView.colour(colouring(), layer, picked.unit);
}

function describe(unit, place) {
  const after = place === 0 ? "at the start" : `after ${visible(activity.tokens[place])}`;
  $("unit-here").textContent = `Unit ${unit} of layer ${layer + 1}, ${after}: ${signed(activity.state(place, layer, unit))}`;
}

function follow() {
  const feature = $("follow").value;
  if (!feature) return;
  const found = activity.follower(FEATURES[feature]);
  if (found === null) {
    $("unit-here").textContent = `No unit follows “${feature}” in this text.`;
    return;
  }
  layer = found.layer;
  $("layers").querySelectorAll("input")[layer].checked = true;
  document.querySelector("[name=colouring][value=unit]").checked = true;
  picked = { ...picked, unit: found.unit };
  showUnits();
  $("unit-here").textContent = `Unit ${found.unit} of layer ${layer + 1} follows “${feature}” most closely here: correlation ${signed(found.correlation)}`;
}

// ---- Wiring ---------------------------------------------------------------------------------------------------------

$("composer").addEventListener("submit", asked(begin));
$("stop").addEventListener("click", () => stopping?.abort());
$("go-on").addEventListener("click", asked(goOn));
$("look-at-prompt").addEventListener("click", asked(() => look($("prompt").value, version)));
$("copy-curl").addEventListener("click", asked(() => copy(asCurl)));
$("copy-python").addEventListener("click", asked(() => copy(asPython)));
$("colouring").addEventListener("change", colour);
$("order").addEventListener("change", showUnits);
$("unit").addEventListener("input", () => {
  const unit = Number($("unit").value);
  if ($("unit").value === "" || !$("unit").validity.valid) return;
  document.querySelector("[name=colouring][value=unit]").checked = true;
  pick({ ...picked, unit });
});
$("follow").append(...Object.keys(FEATURES).map((feature) => el("option", { value: feature, textContent: feature })));
$("follow").addEventListener("change", follow);
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    ($("other").hidden ? $("composer") : $("ask")).requestSubmit();
  }
  if (event.key === "Escape") stopping?.abort();
});

start().catch((error) => notice(error instanceof ApiError ? error : new Error(`This page could not begin: ${error.message}`)));
