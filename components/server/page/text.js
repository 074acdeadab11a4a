// The text at hand, token by token, coloured; and the bars of what comes next.

import { $, el, probability, signed, spoken, visible } from "./dom.js";

const MOST_BITS = 8; // the colour of a surprise ends here

/** Shows the tokens of an activity; `onPick` is told the place that is pointed at. */
export class TextView {
  constructor(onPick) {
    this.box = $("text");
    this.spans = [];
    this.place = 0;
    this.onPick = onPick;
    const at = (event) => event.target.closest?.("[data-place]");
    for (const kind of ["pointerover", "pointerdown"]) {
      this.box.addEventListener(kind, (event) => at(event) && onPick(Number(at(event).dataset.place)));
    }
    this.box.addEventListener("keydown", (event) => {
      const to = this.moved(event.key);
      if (to === null || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      onPick(to);
    });
  }

  moved(key) {
    const last = this.spans.length - 1;
    if (key === "ArrowRight") return Math.min(last, this.place + 1);
    if (key === "ArrowLeft") return Math.max(0, this.place - 1);
    if (key === "Home") return 0;
    if (key === "End") return last;
    return key === "ArrowDown" || key === "ArrowUp" ? this.nearest(key === "ArrowDown") : null;
  }

  /** The place on the next line, or the one before, that is nearest across. */
  nearest(down) {
    const from = this.spans[this.place].getBoundingClientRect();
    let best = null;
    for (const [place, span] of this.spans.entries()) {
      const box = span.getBoundingClientRect();
      const lines = (box.top - from.top) * (down ? 1 : -1);
      if (lines < from.height / 2) continue;
      const distance = lines * 1000 + Math.abs(box.left - from.left);
      if (best === null || distance < best.distance) best = { place, distance };
    }
    return best?.place ?? this.place;
  }

  show(activity, text) {
    this.activity = activity;
    const tokens = activity.tokens.slice(1);
    // Where the tokens are not what the text is made of (words, parts of characters), gaps show where one ends.
    this.box.classList.toggle("apart", tokens.join("") !== text);
    this.spans = activity.tokens.map((token, place) => {
      const span = el("span", { id: `place-${place}`, textContent: place === 0 ? "start" : token });
      if (place === 0) span.className = "start";
      if (token === "\n") span.replaceChildren(el("i", { textContent: "↵" }), "\n");
      span.dataset.place = place;
      span.setAttribute("role", "option");
      return span;
    });
    this.box.replaceChildren(...this.spans);
  }

  pick(place) {
    this.spans[this.place]?.classList.remove("picked");
    this.spans[this.place]?.removeAttribute("aria-selected");
    this.place = Math.min(place, this.spans.length - 1);
    const span = this.spans[this.place];
    span.classList.add("picked");
    span.setAttribute("aria-selected", "true");
    this.box.setAttribute("aria-activedescendant", span.id);
    const [top, bottom] = [span.offsetTop, span.offsetTop + span.offsetHeight];
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    if (bottom > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = bottom - this.box.clientHeight;
  }

  /** @param by "none", "surprise" or "unit", then of a layer and unit. */
  colour(by, layer, unit) {
    const { activity } = this;
    for (const [place, span] of this.spans.entries()) {
      let strength = 0;
      if (by === "surprise") strength = Math.min(1, (activity.bits[place] ?? 0) / MOST_BITS);
      if (by === "unit") strength = activity.state(place, layer, unit) / activity.scale;
      const pole = strength < 0 ? "--cold" : "--warm";
      const share = Math.round(Math.abs(strength) * 78);
      span.style.backgroundColor = share ? `color-mix(in srgb, var(${pole}) ${share}%, transparent)` : "";
    }
    const legends = {
      none: [],
      surprise: [el("span", { textContent: "0 bits" }), el("i", { className: "warm" }), el("span", { textContent: `${MOST_BITS} or more` })],
      unit: [el("span", { textContent: signed(-activity.scale, 1) }), el("i"), el("span", { textContent: signed(activity.scale, 1) })],
    };
    $("legend").replaceChildren(...legends[by]);
    $("legend").classList.toggle("diverging", by === "unit");
  }
}

/** The distribution after a place, with what did come marked. */
export function showNext(activity, place) {
  const before = activity.tokens.slice(1, place + 1).slice(-14).map(visible).join("");
  const came = activity.tokens[place + 1];
  $("after").replaceChildren(
    ...(place === 0 ? ["At the start comes"] : ["After ", el("q", { textContent: (place > 14 ? "…" : "") + before }), " comes"]),
  );
  const rows = activity.top[place].map(([token, p]) => ({ token, p }));
  if (came !== undefined && !rows.some((row) => row.token === came)) {
    rows.push({ token: came, p: 2 ** -activity.bits[place + 1], late: true });
  }
  $("bars").replaceChildren(
    ...rows.map(({ token, p, late }) => {
      const bar = el("span", { className: "bar" }, el("i"));
      bar.firstChild.style.width = `${100 * p}%`;
      const name = el("span", { className: "token", textContent: visible(token) });
      const row = el("li", { className: `${token === came ? "came" : ""} ${late ? "late" : ""}` }, name, bar);
      row.append(el("span", { className: "p", textContent: probability(p) }));
      if (token === came) row.title = "This is what came.";
      return row;
    }),
  );
  const bits = activity.bits[place];
  $("here").textContent =
    bits === null ? "Nothing is read yet." : `${visible(activity.tokens[place])} itself was a surprise of ${bits.toFixed(2)} bits.`;
  const likely = activity.top[place].slice(0, 3).map(([token, p]) => `${spoken(token)} ${Math.round(100 * p)} percent`);
  $("said").textContent = `After ${spoken(activity.tokens[place])}: ${likely.join(", ")}.`;
}
