// Elements, and how numbers and characters are written.

export const $ = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SHOWN = { "\n": "↵", " ": "␣", "\t": "⇥", "\r": "␍", "\u00a0": "⍽" };

/** A token so that all of it can be seen. */
export const visible = (token) => [...token].map((character) => SHOWN[character] ?? character).join("");

const SPOKEN = { "\n": "line break", " ": "space", "\t": "tab" };

/** A token so that it can be read out. */
export const spoken = (token) => SPOKEN[token] ?? token;

/** .78, as probabilities are written on a blackboard. */
export function probability(p) {
  if (p >= 0.995) return p >= 0.99995 ? "1" : p.toFixed(3).slice(1);
  return p < 0.005 ? (p < 0.0001 ? "0" : p.toFixed(4).slice(1)) : p.toFixed(2).slice(1);
}

export const signed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");

export const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

/** A group of radio buttons that look like one bar. */
export function segments(fieldset, name, choices, chosen, onChange) {
  const labels = choices.map(({ value, text }) => {
    const radio = el("input", { type: "radio", name, value, checked: value === chosen });
    radio.addEventListener("change", () => onChange(value));
    return el("label", {}, radio, text);
  });
  fieldset.replaceChildren(fieldset.querySelector("legend"), ...labels);
}
