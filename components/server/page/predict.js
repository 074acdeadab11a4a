// A form for a model that writes no texts: the inputs of its signatures.

import { ApiError, method, post } from "./api.js";
import { $, el } from "./dom.js";

const TYPES = { DT_STRING: "text", DT_FLOAT: "numbers", DT_INT32: "integers", DT_INT64: "integers", DT_BOOL: "true or false" };

/** @param signatures of the model's metadata. */
export function showForm(name, signatures, version) {
  const own = Object.keys(signatures).filter((signature) => signature !== "serving_default");
  const names = own.length ? own : Object.keys(signatures);
  $("signature").replaceChildren(...names.map((signature) => el("option", { value: signature, textContent: signature })));
  const showInputs = () => $("inputs").replaceChildren(...Object.entries(signatures[$("signature").value].inputs).map(field));
  $("signature").onchange = showInputs;
  showInputs();
  $("ask").onsubmit = async (event) => {
    event.preventDefault();
    const { inputs } = signatures[$("signature").value];
    try {
      const body = { signature_name: $("signature").value, ...values(inputs) };
      const answer = await post(method(name, version(), "predict"), body);
      const outputs = answer.predictions?.[0] ?? answer.outputs;
      $("answer").replaceChildren(outputsOf(outputs));
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof SyntaxError)) throw error;
      $("answer").replaceChildren(el("p", { className: "notice", textContent: error.message }));
    }
  };
}

const dims = (input) => (input.tensor_shape.dim ?? []).map((dim) => Number(dim.size));

function field([name, input]) {
  // The first axis is the batch, of which a form fills in one row.
  const shape = dims(input).slice(1).map((size) => (size < 0 ? "any" : size));
  const kind = `${TYPES[input.dtype] ?? input.dtype}${shape.length ? `, an array [${shape.join(", ")}] as JSON` : ""}`;
  const box = el("textarea", { id: `input-${name}`, name, rows: input.dtype === "DT_STRING" || shape.length ? 3 : 1, spellcheck: false });
  return el("div", { className: "field" }, el("label", { htmlFor: box.id, textContent: name }), box, el("small", { textContent: kind }));
}

function values(inputs) {
  const row = {};
  let batched = true;
  for (const [name, input] of Object.entries(inputs)) {
    const text = $(`input-${name}`).value;
    const plain = input.dtype === "DT_STRING" && dims(input).length < 2;
    if (!plain && text.trim() === "") continue; // left out: the signature may have a default
    batched &&= dims(input).length > 0;
    try {
      row[name] = plain ? text : JSON.parse(text);
    } catch (error) {
      throw new SyntaxError(`${name} must be JSON: ${error.message}`);
    }
  }
  return batched ? { instances: [row] } : { inputs: row };
}

function outputsOf(outputs) {
  const named = outputs !== null && typeof outputs === "object" && !Array.isArray(outputs) ? outputs : { answer: outputs };
  return el("dl", {}, ...Object.entries(named).flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", {}, shown(value))]));
}

function shown(value) {
  const text = JSON.stringify(value, (_, part) => (typeof part === "number" ? Number(part.toPrecision(5)) : part));
  return el("pre", { textContent: typeof value === "string" ? value : text });
}
