// The samples of a store as columns, and what the charts draw of them.
//
// Counters only grow, and a quiet store writes no sample. So a rate is what a counter grew by, over the time since the
// sample before; over a quiet gap it is zero; and levels stay what they were.

import { REFUSALS, refusedIn } from "./words.js";

/** As many samples as the server keeps by default. */
const SAMPLES_MAX = 7_200;
/** At most about so many points are drawn. */
const POINTS_MAX = 1_200;
/** Of them, at least so many are left for samples, however many gaps there are. */
const POINTS_MIN = 400;
/** A store that changes is sampled once a second. */
const NOMINAL_MS = 1_000;
/** So many times the usual spacing without a sample is a quiet gap. */
const GAP = 2.5;
/** Rates are taken over at least this long: the first and last samples of a busy time are close to their neighbours. */
const RATE_SPAN_MS = 800;

/** Counters whose rates are drawn; `refused` is the sum of all refusals. */
const RATES = ["placed", "completed", "refused"];
/** Levels; of several samples in one point the highest is drawn, of the stock the last. */
const LEVELS = ["queued", "in-work", "retrying", "holds"];
const STOCK = ["available", "sold"];
/** Latencies; 0 says that nothing was completed. */
const LATENCIES = ["p50-ms", "p99-ms"];
const COLUMNS = [...RATES, ...LEVELS, ...STOCK, ...LATENCIES];

export class Series {
  constructor() {
    this.#clear();
  }

  #clear() {
    this.at = [];
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, []]));
    /** So many samples, from the start, are this far apart: the history came thinned. */
    this.thinned = 0;
    this.spacingMs = NOMINAL_MS;
  }

  get length() {
    return this.at.length;
  }

  get isThinned() {
    return this.thinned > 0;
  }

  /** Takes a history as the server sends it, in place of all that was known. */
  load({ at, metrics }) {
    this.#clear();
    this.at = at.slice(-SAMPLES_MAX);
    const cut = at.length - this.at.length;
    const column = (name) => metrics[name] ?? new Array(at.length).fill(0);
    for (const name of COLUMNS) if (name !== "refused") this.columns[name] = column(name).slice(cut);
    const refused = REFUSALS.map(({ field }) => column(field));
    this.columns.refused = this.at.map((_, i) => refused.reduce((sum, values) => sum + values[cut + i], 0));
    const spacing = median(this.at.slice(1).map((time, i) => time - this.at[i]));
    if (spacing > 2 * NOMINAL_MS && at.length >= POINTS_MIN) {
      this.thinned = this.at.length;
      this.spacingMs = spacing;
    }
  }

  /** Adds a sample. One that is known already is passed over; a store made anew begins anew. */
  push(at, metrics) {
    const last = this.length - 1;
    if (last >= 0 && at <= this.at[last]) return;
    if (last >= 0 && metrics.placed < this.columns.placed[last]) this.#clear();
    this.at.push(at);
    for (const name of COLUMNS) this.columns[name].push(name === "refused" ? refusedIn(metrics) : (metrics[name] ?? 0));
    if (this.length <= SAMPLES_MAX) return;
    this.at.shift();
    for (const name of COLUMNS) this.columns[name].shift();
    this.thinned = Math.max(0, this.thinned - 1);
  }

  /** How fast a counter grows by the last sample, a second; 0 once the store is quiet. */
  rate(name, now) {
    const last = this.length - 1;
    if (last < 1 || now - this.at[last] > GAP * NOMINAL_MS) return 0;
    return this.#rateAt(name, last, last - 1);
  }

  /** When the last unit was first taken, Unix ms; null if it never was, or before the first sample. A store that has
   * nothing to sell yet is not sold out. */
  soldOutAt() {
    const { available, placed, holds } = this.columns;
    const index = available.findIndex((units, i) => units <= 0 && placed[i] + holds[i] > 0);
    return index <= 0 ? null : this.at[index];
  }

  /**
   * What to draw of the time from `from` on (Unix ms): `x` in seconds, and a column a field. With `until`, the store is
   * known not to have changed since its last sample up to then.
   */
  frame(from, until) {
    const first = this.#indexAt(from);
    const draft = new Draft();
    if (this.length === 0) return draft.done();
    const group = this.#samplesAPoint(first);
    let before = first - 1;
    if (before >= 0) this.#point(draft, before, before, before - 1);
    for (let begin = first; begin < this.length; begin += group) {
      const end = Math.min(begin + group, this.length) - 1;
      if (before >= 0 && this.#isGap(before, begin)) this.#quiet(draft, before, this.at[begin] - this.#spacing(begin));
      this.#point(draft, begin, end, before);
      before = end;
    }
    if (until !== null && until - this.at[before] > 1.5 * NOMINAL_MS) this.#quiet(draft, before, until);
    return draft.done();
  }

  #indexAt(time) {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #samplesAPoint(first) {
    const samples = this.length - first;
    let gaps = 0;
    for (let i = Math.max(1, first); i < this.length; i += 1) if (this.#isGap(i - 1, i)) gaps += 1;
    if (samples + 2 * gaps <= POINTS_MAX) return 1;
    return Math.ceil(samples / Math.max(POINTS_MIN, POINTS_MAX - 2 * gaps));
  }

  #spacing(index) {
    return index < this.thinned ? this.spacingMs : NOMINAL_MS;
  }

  #isGap(before, index) {
    return this.at[index] - this.at[before] > GAP * this.#spacing(index);
  }

  /** A quiet time from a sample on to `end`: no flow, levels as they were, nothing completed. */
  #quiet(draft, before, end) {
    const begin = Math.min(this.at[before] + this.#spacing(before), end);
    this.#level(draft, begin, before);
    if (end > begin) this.#level(draft, end, before);
  }

  #level(draft, time, index) {
    draft.add(time, (name) => {
      if (RATES.includes(name)) return 0;
      return LATENCIES.includes(name) ? null : this.columns[name][index];
    });
  }

  #point(draft, begin, end, before) {
    draft.add(this.at[end], (name) => {
      if (RATES.includes(name)) return this.#rateAt(name, end, before);
      if (STOCK.includes(name)) return this.columns[name][end];
      let highest = 0;
      for (let i = begin; i <= end; i += 1) highest = Math.max(highest, this.columns[name][i]);
      return LATENCIES.includes(name) && highest === 0 ? null : highest;
    });
  }

  /** What a counter grew by between two samples, a second. */
  #rateAt(name, end, before) {
    if (before < 0) return 0;
    let start = before;
    while (start > 0 && this.at[end] - this.at[start] < RATE_SPAN_MS && !this.#isGap(start - 1, start)) start -= 1;
    const grown = Math.max(0, this.columns[name][end] - this.columns[name][start]);
    const spanMs = this.#isGap(end - 1, end) ? this.#spacing(end) : this.at[end] - this.at[start];
    return (grown * 1_000) / Math.max(spanMs, this.at[end] - this.at[start] < RATE_SPAN_MS ? RATE_SPAN_MS : 1);
  }
}

/** Columns in the making. */
class Draft {
  constructor() {
    this.x = [];
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, []]));
  }

  add(time, valueOf) {
    this.x.push(time / 1_000);
    for (const name of COLUMNS) this.columns[name].push(valueOf(name));
  }

  done() {
    return { x: this.x, columns: this.columns };
  }
}

function median(values) {
  if (values.length === 0) return 0;
  const sorted = values.slice().sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
