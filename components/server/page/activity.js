// What the network did at each place of a text: an answer of `:inspect`, unpacked.

export class Activity {
  /** @param answer of `:inspect`; place i is after token i, and token 0 opens the document. */
  constructor(answer) {
    this.version = answer.version;
    this.tokens = answer.tokens;
    this.top = answer.top;
    this.bits = answer.bits;
    [this.places, this.layers, this.units] = answer.states.shape;
    this.scale = answer.states.scale;
    const bytes = atob(answer.states.b64);
    this.states = Int8Array.from({ length: bytes.length }, (_, i) => bytes.charCodeAt(i));
  }

  /** h of a unit at a place. */
  state(place, layer, unit) {
    return (this.states[(place * this.layers + layer) * this.units + unit] / 127) * this.scale;
  }

  /** h of a unit at all places. */
  row(layer, unit) {
    return Float32Array.from({ length: this.places }, (_, place) => this.state(place, layer, unit));
  }

  /** The units of a layer, the most changing first. */
  byVariation(layer) {
    const spread = Array.from({ length: this.units }, (_, unit) => deviation(this.row(layer, unit)));
    return spread.map((_, unit) => unit).sort((a, b) => spread[b] - spread[a]);
  }

  /** The unit, of all layers, whose states follow a feature of the text most closely: {layer, unit, correlation}. */
  follower(feature) {
    const wanted = Float32Array.from(feature(this.tokens));
    let best = null;
    for (let layer = 0; layer < this.layers; layer++) {
      for (let unit = 0; unit < this.units; unit++) {
        const found = correlation(this.row(layer, unit), wanted);
        if (Number.isFinite(found) && (best === null || Math.abs(found) > Math.abs(best.correlation))) {
          best = { layer, unit, correlation: found };
        }
      }
    }
    return best;
  }
}

/** What a unit may follow; each a number for every token. */
export const FEATURES = {
  "position in the line": (tokens) => countSince(tokens, (token) => token.endsWith("\n")),
  "position in the word": (tokens) => countSince(tokens, (token) => /[^\p{L}\p{N}]$/u.test(token)),
  "ends of words": (tokens) => tokens.map((token) => Number(/\s$/.test(token))),
  "line breaks": (tokens) => tokens.map((token) => Number(token.endsWith("\n"))),
  vowels: (tokens) => tokens.map((token) => Number(/[aeiouyàâéèêëîïôùûü]$/i.test(token))),
  "capital letters": (tokens) => tokens.map((token) => Number(/^\p{Lu}/u.test(token))),
  punctuation: (tokens) => tokens.map((token) => Number(/^\p{P}/u.test(token))),
};

function countSince(tokens, begins) {
  let count = 0;
  return tokens.map((token) => (count = begins(token) ? 0 : count + 1));
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values) {
  const center = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - center) ** 2)));
}

function correlation(a, b) {
  const [meanA, meanB] = [mean(a), mean(b)];
  return mean(a.map((value, i) => (value - meanA) * (b[i] - meanB))) / (deviation(a) * deviation(b));
}
