// Eigenvalues in the complex plane, and what is left of a gradient back in time.

import { $, el, plural, signed, svg } from "./dom.js";

const SIZE = 240;

/** Shows an answer of `:dynamics`. */
export function showDynamics(answer) {
  $("circles").replaceChildren(...answer.layers.map(circle));
  const flows = answer.layers.map((layer) => layer.flow);
  const known = flows.every((flow) => flow !== null) && flows[0].length > 1;
  $("flow").hidden = !known;
  if (known) $("flow").replaceChildren(...flowPlot(flows));
  $("findings").replaceChildren(...answer.layers.flatMap((layer, i) => findings(layer, i, answer)).map((text) => el("li", { textContent: text })));
}

function circle(layer, i) {
  const known = layer.eigenvalues.filter(([re, im]) => re !== null && im !== null);
  const reach = Math.max(1.12, 1.06 * (layer.spectral_radius ?? 1));
  const at = (value) => (SIZE / 2) * (1 + value / reach);
  const picture = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img" });
  picture.setAttribute("aria-label", `Eigenvalues of layer ${i + 1}, spectral radius ${layer.spectral_radius}`);
  picture.append(
    svg("line", { x1: 0, x2: SIZE, y1: SIZE / 2, y2: SIZE / 2, class: "axis" }),
    svg("line", { y1: 0, y2: SIZE, x1: SIZE / 2, x2: SIZE / 2, class: "axis" }),
    svg("circle", { cx: SIZE / 2, cy: SIZE / 2, r: at(1) - SIZE / 2, class: "unit-circle" }),
    ...known.map(([re, im]) =>
      svg("circle", { cx: at(re), cy: at(-im), r: known.length > 200 ? 1.7 : 2.6, class: Math.hypot(re, im) > 1 ? "eigenvalue outside" : "eigenvalue" }),
    ),
  );
  const words = el("figcaption", {}, el("b", { textContent: `Layer ${i + 1}` }), " spectral radius ", el("b", { textContent: number(layer.spectral_radius) }));
  return el("figure", { className: "circle" }, picture, words);
}

const number = (value, digits = 2) => (value === null ? "not finite" : signed(value, digits));

function flowPlot(flows) {
  const [width, height, left, bottom, right, top] = [560, 270, 46, 34, 62, 12];
  const steps = Math.max(...flows.map((flow) => flow.length - 1));
  const values = flows.flat().filter((value) => value !== null);
  const high = Math.max(0.5, Math.ceil(Math.max(...values)));
  const low = Math.min(-1, Math.floor(Math.min(...values)));
  const x = (step) => left + (step / steps) * (width - left - right);
  const y = (value) => top + ((high - value) / (high - low)) * (height - top - bottom);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  picture.setAttribute("aria-label", "Norm of the gradient, step by step back from the end of the text");
  for (const value of ticks(low, high, 6)) {
    picture.append(svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: value === 0 ? "axis" : "grid" }));
    const label = svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, value === 0 ? "1" : "10");
    if (value !== 0) label.append(svg("tspan", { dy: -5, "font-size": 9 }, signed(value, 0)));
    picture.append(label);
  }
  for (const step of ticks(0, steps, 6)) {
    picture.append(svg("text", { x: x(step), y: height - bottom + 17, "text-anchor": "middle" }, String(step)));
  }
  picture.append(svg("text", { x: (left + width - right) / 2, y: height - 2, "text-anchor": "middle", class: "title" }, "steps back from the end"));
  const ends = [];
  for (const [i, flow] of flows.entries()) {
    const points = flow.flatMap((value, step) => (value === null ? [] : [`${x(step).toFixed(1)},${y(value).toFixed(1)}`]));
    const [endX, endY] = points.at(-1).split(",").map(Number);
    // Labels of lines that end side by side keep a line's distance.
    let labelY = endY;
    while (ends.some((other) => Math.abs(other - labelY) < 13)) labelY += 13;
    ends.push(labelY);
    picture.append(
      svg("polyline", { points: points.join(" "), class: `line line-${i % 4}` }),
      svg("text", { x: endX + 7, y: labelY + 4, class: `label line-${i % 4}` }, `layer ${i + 1}`),
    );
  }
  return [picture, el("figcaption", { innerHTML: "Norm of <i>v</i> · ∂<i>h</i><sub>T</sub>/∂<i>h</i><sub>t</sub> for a fixed unit vector <i>v</i>" })];
}

function ticks(low, high, most) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((size) => (high - low) / size <= most) ?? 5000;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

/** 10⁻¹⁴ */
const power = (exponent) => `10${[...signed(exponent, 0)].map((digit) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["−0123456789".indexOf(digit)]).join("")}`;

/** What the pictures say, in words. */
function findings(layer, i, answer) {
  const outside = layer.eigenvalues.filter(([re, im]) => Math.hypot(re, im) > 1).length;
  const told = [
    `Layer ${i + 1}: ${plural(outside, "eigenvalue")} of ${layer.eigenvalues.length} ${outside === 1 ? "lies" : "lie"} outside the unit circle; in one step W makes no vector longer than ${number(layer.largest_singular_value)} times.`,
  ];
  if (layer.flow === null) {
    told.push(`Its gradient cannot be followed: ${answer.activation ? `the activation ${answer.activation} is not known here` : "the model was exported without its architecture"}.`);
  } else if (layer.flow.length > 1) {
    const tenth = layer.flow.findIndex((value) => value === null || value <= -1);
    const last = layer.flow.length - 1;
    const end = layer.flow[last] === null ? "nothing at all" : `${power(layer.flow[last])} of it`;
    told.push(
      tenth < 0
        ? `Of a gradient at the end, ${end} reaches the start, ${plural(last, "step")} back: never less than a tenth.`
        : `A gradient at the end is down to a tenth after ${plural(tenth, "step")}; ${end} reaches the start, ${last} back.`,
    );
  }
  return [told.join(" ")];
}
