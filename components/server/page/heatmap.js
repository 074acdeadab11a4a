// Hidden units × places as a picture: a row for each unit, to be picked.

import { $ } from "./dom.js";

/** Draws the states of a layer; `onPick` is told {unit, place} that is clicked or moved to, `onPoint` what is hovered. */
export class HeatMap {
  constructor(onPick, onPoint) {
    this.canvas = $("heat");
    this.order = [];
    this.picked = { unit: 0, place: 0 };
    this.canvas.addEventListener("pointermove", (event) => this.activity && onPoint(this.at(event)));
    this.canvas.addEventListener("pointerdown", (event) => this.activity && onPick(this.at(event)));
    this.canvas.addEventListener("keydown", (event) => {
      const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [0, 0];
      if (!this.activity || (!down && !right) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const row = clamp(this.order.indexOf(this.picked.unit) + down, 0, this.order.length - 1);
      onPick({ unit: this.order[row], place: clamp(this.picked.place + right, 0, this.activity.places - 1) });
    });
    new ResizeObserver(() => this.activity && this.draw()).observe($("map"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.activity && this.show(this.activity, this.layer, this.order));
  }

  at(event) {
    const row = clamp(Math.floor(event.offsetY / this.height), 0, this.order.length - 1);
    return { unit: this.order[row], place: clamp(Math.floor(event.offsetX / this.width), 0, this.activity.places - 1) };
  }

  /** @param order the units, from the top. */
  show(activity, layer, order) {
    Object.assign(this, { activity, layer, order });
    const palette = makePalette();
    const picture = new ImageData(activity.places, order.length);
    const pixels = new Uint32Array(picture.data.buffer);
    for (const [row, unit] of order.entries()) {
      for (let place = 0; place < activity.places; place++) {
        pixels[row * activity.places + place] = palette[activity.states[(place * activity.layers + layer) * activity.units + unit] + 128];
      }
    }
    this.picture = new OffscreenCanvas(picture.width, picture.height);
    this.picture.getContext("2d").putImageData(picture, 0, 0);
    this.draw();
  }

  pick(picked) {
    this.picked = picked;
    this.draw();
  }

  draw() {
    const { places } = this.activity;
    this.width = clamp($("map").clientWidth / places, 3, 22);
    this.height = clamp(Math.floor(520 / this.order.length), 1, 16);
    const [across, down] = [this.width * places, this.height * this.order.length];
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: across * ratio, height: down * ratio });
    Object.assign(this.canvas.style, { width: `${across}px`, height: `${down}px` });
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.picture, 0, 0, across, down);
    context.strokeStyle = colour("--ink");
    context.lineWidth = 1.5;
    const row = this.order.indexOf(this.picked.unit);
    context.strokeRect(0.75, row * this.height - 0.25, across - 1.5, this.height + 0.5);
    context.globalAlpha = 0.55;
    context.strokeRect(this.picked.place * this.width - 0.25, 0.75, this.width + 0.5, down - 1.5);
  }
}

const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The colour of each byte -128 … 127, as pixels. */
function makePalette() {
  const [cold, neutral, warm] = ["--cold", "--neutral", "--warm"].map((name) => colour(name).match(/[0-9a-f]{2}/gi).map((hex) => parseInt(hex, 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const strength = Math.min(1, Math.abs(i - 128) / 127);
    const pole = i < 128 ? cold : warm;
    const [r, g, b] = neutral.map((from, channel) => Math.round(from + (pole[channel] - from) * strength));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0; // little-endian, as every browser's machine is
  });
}
