// The writing of texts: the prompt, its controls, and the texts as they come, one column for each version.

import { events } from "./api.js";
import { $, el, plural } from "./dom.js";
import { eventsInSession } from "./session.js";

const CONTROLS = [
  { name: "temperature", label: "Temperature", value: 1, min: 0, max: 2, step: 0.05, range: true, hint: "0: always the likeliest" },
  { name: "top_p", label: "Top p", value: 1, min: 0.01, max: 1, step: 0.01, range: true, hint: "Only the likeliest that make up this share" },
  { name: "top_k", label: "Top k", value: 0, min: 0, hint: "0: all tokens" },
  { name: "max_length", label: "Length", value: 300, min: 0, hint: "Tokens, at most" },
  { name: "min_length", label: "At least", value: 0, min: 0, hint: "Tokens before the end may come" },
  { name: "repetition_stop", label: "Stop circles", value: 0, min: 0, hint: "After so many repeated tokens; 0: never" },
  { name: "samples", label: "Texts", value: 1, min: 1, hint: "Each with the next seed" },
  { name: "seed", label: "Seed", value: "", hint: "Same seed, same text", placeholder: "random" },
];

export function makeControls() {
  for (const control of CONTROLS) {
    const { name, label, range, hint, value, min, max, step = 1, placeholder = "" } = control;
    const number = el("input", { type: "number", id: name, value, placeholder, step: range ? "any" : step });
    number.setAttribute("aria-describedby", `${name}-hint`);
    if (min !== undefined) number.min = min;
    const field = el("div", { className: range ? "field wide" : "field" });
    field.append(el("label", { htmlFor: name, textContent: label }), number);
    if (range) {
      const slider = el("input", { type: "range", min, max, step, value });
      slider.setAttribute("aria-label", `${label}, as a slider`);
      slider.addEventListener("input", () => (number.value = slider.value));
      number.addEventListener("input", () => (slider.value = number.value));
      field.append(slider);
    }
    field.append(el("small", { id: `${name}-hint`, textContent: hint }));
    $("controls").append(field);
  }
}

/** The body of the request at hand. What is empty or as the server has it is left out, but for the seed. */
export function requestBody() {
  const body = { prompt: $("prompt").value };
  for (const { name } of CONTROLS) {
    const text = $(name).value.trim();
    if ($(name).validity.badInput) throw new Error(`${name} must be a number.`);
    if (text !== "") body[name] = Number(text);
  }
  if (body.seed !== undefined && !Number.isSafeInteger(body.seed)) {
    throw new Error("The seed must be an integer of at most 15 digits.");
  }
  return body;
}

/** A text of a column while it is being written. */
class Written {
  constructor(prompt, onLook) {
    this.prompt = prompt;
    this.continuation = "";
    this.fresh = el("span", { className: "fresh" });
    this.account = el("span", { className: "account" });
    this.look = el("button", { type: "button", className: "quiet", textContent: "Look inside", hidden: true });
    this.look.addEventListener("click", () => onLook(this.text));
    this.body = el("div", { className: "written", ariaBusy: "true", tabIndex: 0 });
    this.body.setAttribute("role", "region");
    this.body.setAttribute("aria-label", "The text that is written");
    this.body.append(el("span", { className: "given", textContent: prompt }), this.fresh, el("i", { className: "caret" }));
    this.element = el("div", { className: "sample" }, this.body, el("p", { className: "meta" }, this.account, this.look));
  }

  get text() {
    return this.prompt + this.continuation;
  }

  add(piece) {
    const atEnd = this.body.scrollHeight - this.body.scrollTop - this.body.clientHeight < 40;
    this.continuation += piece;
    this.fresh.append(piece);
    if (atEnd) this.body.scrollTop = this.body.scrollHeight;
  }

  close(told) {
    this.body.ariaBusy = "false";
    this.account.textContent = told;
    this.look.hidden = this.text === "";
  }
}

function accountOf(done) {
  const bits = -done.log_prob / Math.LN2 / Math.max(done.tokens + done.finished, 1);
  const ending = done.finished ? "it ended" : done.repeated ? "stopped in a circle" : "cut at the length";
  return `seed ${done.seed} · ${plural(done.tokens, "token")} · ${bits.toFixed(2)} bits each · ${ending}`;
}

/**
 * Writes with each version, at the same time.
 *
 * @param name of the model
 * @param versions one or two
 * @param body of the request
 * @param signal that stops it
 * @param onLook is told a text and its version
 * @returns the columns: {version, samples, error}
 */
export async function write(name, versions, body, signal, onLook) {
  const columns = versions.map((version) => {
    const samples = Array.from({ length: Math.max(1, body.samples ?? 1) }, () => new Written(body.prompt, (text) => onLook(text, version)));
    const element = el("article", { className: "column" });
    if (versions.length > 1) element.append(el("h3", { textContent: `Version ${version}` }));
    element.append(...samples.map((sample) => sample.element));
    return { version, samples, element, error: null };
  });
  $("columns").replaceChildren(...columns.map((column) => column.element));
  $("columns").classList.toggle("two", columns.length > 1);
  const written = columns.map((column, i) => {
    // `Go on` is about the first text, and a session writes one at a time.
    const asked = i === 0 && column.samples.length === 1 ? eventsInSession : events;
    return writeColumn(column, body, asked(name, column.version, body, signal));
  });
  await Promise.all(written);
  return columns;
}

async function writeColumn(column, body, received) {
  const open = new Set(column.samples);
  try {
    for await (const [event, data] of received) {
      if (event === "error") throw new Error(data.error);
      const sample = column.samples[data.index];
      if (event === "piece") sample.add(data.piece);
      if (event === "done") {
        sample.close(accountOf(data));
        open.delete(sample);
      }
    }
  } catch (error) {
    if (error.name !== "AbortError") column.error = error;
  }
  const why = column.error ? column.error.message : "stopped";
  column.samples.forEach((sample, i) => {
    if (!open.has(sample)) return;
    sample.close(`seed ${body.seed + i} · ${why}`);
    sample.element.classList.toggle("failed", column.error !== null && sample.continuation === "");
  });
}
