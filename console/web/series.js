// What charts draw of a store: points that the program computes of its samples (rates, quiet times), as columns.

import { charts } from "./words.js";

/** As many points are kept as a server has samples by default. */
const POINTS_MAX = 7_200;
/** A store that changes is sampled once a second; after so long without a sample, it is quiet. */
const NOMINAL_MS = 1_000;
const GAP_MS = 2_500;

const columnsOf = (scale) => charts.filter((chart) => chart.scale === scale).flatMap(({ lines }) => lines);
const RATES = new Set(columnsOf("rate").map(({ name }) => name));
const LATENCIES = new Set(columnsOf("duration").map(({ name }) => name));
const COLUMNS = charts.flatMap(({ lines }) => lines.map(({ name }) => name));

export class Series {
  constructor() {
    this.load({ at: [] }, false);
  }

  get length() {
    return this.at.length;
  }

  /** Takes the lines of a history in place of all that was known; a thinned one is not all of it. */
  load({ at, ...columns }, isThinned) {
    this.at = at;
    this.columns = Object.fromEntries(COLUMNS.map((name) => [name, columns[name] ?? []]));
    this.isThinned = isThinned;
  }

  /** Adds the lines of a sample. What is known already is passed over. */
  push({ at, ...columns }) {
    at.forEach((time, i) => {
      if (this.length > 0 && time <= this.at.at(-1)) return;
      this.at.push(time);
      for (const name of COLUMNS) this.columns[name].push(columns[name][i]);
    });
    const tooMany = Math.max(0, this.length - POINTS_MAX);
    this.at.splice(0, tooMany);
    for (const name of COLUMNS) this.columns[name].splice(0, tooMany);
  }

  /** How fast a counter grows by the last sample, a second; 0 once the store is quiet. */
  rate(name, now) {
    if (this.length === 0 || now - this.at.at(-1) > GAP_MS) return 0;
    return this.columns[name].at(-1);
  }

  /** When nothing was available first since a time, Unix ms; null if there always was something. */
  soldOutAt(since) {
    const index = this.columns.available.findIndex((units, i) => units <= 0 && this.at[i] > since);
    return index < 0 ? null : this.at[index];
  }

  /**
   * What to draw of the time from `from` on (Unix ms): `x` in seconds, and a column a line. With `until`, the store is
   * known not to have changed since its last sample up to then: no flow, levels as they were, nothing completed.
   */
  frame(from, until) {
    const after = this.at.findIndex((time) => time >= from);
    const first = Math.max(0, (after < 0 ? this.length : after) - 1);
    const last = this.length > 0 ? this.at.at(-1) : until;
    const quiet = until !== null && until - last > 1.5 * NOMINAL_MS ? [last + NOMINAL_MS, until] : [];
    const column = (name) => {
      const values = this.columns[name].slice(first);
      const level = RATES.has(name) ? 0 : LATENCIES.has(name) ? null : values.at(-1);
      return [...values, ...quiet.map(() => level)];
    };
    return {
      x: [...this.at.slice(first), ...quiet].map((time) => time / 1_000),
      columns: Object.fromEntries(COLUMNS.map((name) => [name, column(name)])),
    };
  }
}
