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
  /** `columns`: those that are kept, `pointsMax`: of how many points. */
  constructor({ columns = COLUMNS, pointsMax = POINTS_MAX } = {}) {
    Object.assign(this, { names: columns, pointsMax });
    this.load({ at: [] }, false);
  }

  get length() {
    return this.at.length;
  }

  /** Takes the lines of a history in place of all that was known; a thinned one is not all of it. */
  load({ at, ...columns }, isThinned) {
    this.at = at;
    this.columns = Object.fromEntries(this.names.map((name) => [name, columns[name] ?? []]));
    this.isThinned = isThinned;
  }

  /** Adds the lines of a sample. What is known already is passed over. */
  push({ at, ...columns }) {
    at.forEach((time, i) => {
      if (this.length > 0 && time <= this.at.at(-1)) return;
      this.at.push(time);
      for (const name of this.names) this.columns[name].push(columns[name][i]);
    });
    const tooMany = this.length - this.pointsMax;
    if (tooMany <= 0) return;
    this.at.splice(0, tooMany);
    for (const name of this.names) this.columns[name].splice(0, tooMany);
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
   * `seen` are the numbers that are shown, of a moment: the lines end there, at the same levels.
   */
  frame(from, until, seen = null) {
    const end = this.at.length - (seen === null ? 0 : later(this.at, seen.at));
    const after = this.at.findIndex((time) => time >= from);
    const first = Math.min(Math.max(0, (after < 0 ? end : after) - 1), end);
    const looks = seen !== null && end > 0 && seen.at > this.at[end - 1] ? [seen.at] : [];
    const last = looks[0] ?? this.at[end - 1] ?? until;
    const quiet = until !== null && until - last > 1.5 * NOMINAL_MS ? [last + NOMINAL_MS, until] : [];
    const column = (name) => {
      const [isRate, isLatency] = [RATES.has(name), LATENCIES.has(name)];
      const values = this.columns[name].slice(first, end);
      values.push(...looks.map(() => (isRate || isLatency ? values.at(-1) : seen.metrics[name])));
      const level = isRate ? 0 : isLatency ? null : values.at(-1);
      return [...values, ...quiet.map(() => level)];
    };
    return {
      x: [...this.at.slice(first, end), ...looks, ...quiet].map((time) => time / 1_000),
      columns: Object.fromEntries(this.names.map((name) => [name, column(name)])),
    };
  }
}

/** How many of these times, which ascend, are later than a moment. */
function later(times, moment) {
  const index = times.findLastIndex((time) => time <= moment);
  return times.length - 1 - index;
}
