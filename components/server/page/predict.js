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
    const { inputs, outputs } = signatures[$("signature").value];
    try {
      const body = { signature_name: $("signature").value, inputs: columns(inputs) };
      const answer = (await post(method(name, version(), "predict"), body)).outputs;
      const named = Object.keys(outputs).length > 1 ? answer : { [Object.keys(outputs)[0]]: answer };
      $("answer").replaceChildren(answers(named, outputs));
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

function columns(inputs) {
  const filled = {};
  for (const [name, input] of Object.entries(inputs)) {
    const text = $(`input-${name}`).value;
    const plain = input.dtype === "DT_STRING" && dims(input).length < 2;
    if (!plain && text.trim() === "") continue; // left out: the signature may have a default
    try {
      const value = plain ? text : JSON.parse(text);
      filled[name] = dims(input).length ? [value] : value;
    } catch (error) {
      throw new SyntaxError(`${name} must be JSON: ${error.message}`);
    }
  }
  return filled;
}

/** The outputs by name: of those with a row for each input, the only row. */
function answers(named, specs) {
  const rows = Object.entries(named).flatMap(([name, value]) => {
    const row = dims(specs[name])[0] < 0 && Array.isArray(value) && value.length === 1 ? value[0] : value;
    return [el("dt", { textContent: name }), el("dd", {}, shown(row))];
  });
  return el("dl", {}, ...rows);
}

function shown(value) {
  const text = JSON.stringify(value, (_, part) => (typeof part === "number" ? Number(part.toPrecision(5)) : part));
  return el("pre", { textContent: typeof value === "string" ? value : text });
}
