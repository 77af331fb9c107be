// Charts over time, drawn by uPlot (vendor/): they share the time axis and the cursor, and follow size and theme.

import { h, icon, setAttribute, setText, show } from "./dom.js";
import { clock, count, duration, rate, short } from "./format.js";

const CURSOR_GROUP = "holdfast";
const HEIGHT_PX = 190;
const HEIGHT_NARROW_PX = 160;
const NARROW_PX = 480;
/** A screen reader finds the summary this fresh at least; it is not announced. */
const SUMMARY_EVERY_MS = 5_000;
/** Rows of the table that stands in for a chart. */
const TABLE_ROWS = 12;
/** The y axis never zooms in on less than this. */
const LEAST_TOP = 4;

/** How the values of a scale are written: `format` writes one of the axis, `readout` one of the legend. */
const SCALES = {
  rate: { format: short, readout: rate, unit: "/s" },
  count: { format: short, readout: count, unit: "" },
  duration: { format: duration, readout: duration, unit: "" },
};

/** One chart. `lines` are `{name, label, tone, filled, seldom}`; `meaning` says in a sentence what is drawn. */
export class Chart {
  constructor({ title, meaning, lines, scale }) {
    Object.assign(this, { title, meaning, lines, ...SCALES[scale] });
    this.frame = null;
    this.range = [0, 1];
    this.hidden = new Set();
    this.summarisedAt = -Infinity;
    this.#build();
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.plot);
  }

  #build() {
    this.readings = new Map();
    this.keys = new Map();
    const keys = this.lines.map((one) => this.#legendEntry(one));
    this.time = h("span", { class: "chart-time" });
    this.tableButton = h(
      "button",
      {
        class: "quiet-button icon-button",
        type: "button",
        "aria-expanded": "false",
        title: "Show as a table",
        "aria-label": `${this.title} as a table`,
        onclick: () => this.#toggleTable(),
      },
      icon("table"),
    );
    this.plot = h("div", { class: "plot", role: "img", "aria-label": this.title });
    this.empty = h("p", { class: "plot-empty", hidden: true });
    this.table = h("div", {
      class: "chart-table",
      hidden: true,
      tabindex: "0",
      role: "region",
      "aria-label": `${this.title} as a table`,
    });
    this.element = h(
      "figure",
      { class: "card chart" },
      h(
        "figcaption",
        {},
        h("div", { class: "chart-head" }, h("h3", { text: this.title }), this.time, this.tableButton),
        h("p", { class: "why", text: this.meaning }),
      ),
      h("div", { class: "legend" }, keys),
      h("div", { class: "plot-frame" }, this.plot, this.empty, this.table),
    );
  }

  #legendEntry({ name, label, tone }) {
    const value = h("span", { class: "legend-value", text: "–" });
    this.readings.set(name, value);
    const button = h(
      "button",
      {
        class: "legend-key",
        type: "button",
        "aria-pressed": "true",
        title: `Show or hide “${label}”`,
        data: { tone },
        onclick: () => this.#toggle(name, button),
      },
      h("span", { class: "swatch", "aria-hidden": "true" }),
      h("span", { text: label }),
      value,
    );
    this.keys.set(name, button);
    return button;
  }

  #toggle(name, button) {
    const isShown = this.hidden.has(name);
    if (isShown) this.hidden.delete(name);
    else this.hidden.add(name);
    button.setAttribute("aria-pressed", String(isShown));
    const index = this.lines.findIndex((one) => one.name === name) + 1;
    this.uplot?.setSeries(index, { show: isShown });
  }

  #toggleTable() {
    const open = this.table.hidden;
    this.table.hidden = !open;
    this.tableButton.setAttribute("aria-expanded", String(open));
    if (open) this.#fillTable();
  }

  /** Draws a frame of the series between two times (Unix ms). `empty` says why there is nothing to see, or null. */
  draw(frame, from, to, empty) {
    this.frame = frame;
    this.range = [from / 1_000, to / 1_000];
    this.empty.hidden = empty === null;
    setText(this.empty, empty ?? "");
    const data = this.#data();
    for (const one of this.lines) show(this.keys.get(one.name), this.#isUsed(one));
    if (this.uplot) this.uplot.setData(data);
    else this.#create(data);
    this.#read();
    if (performance.now() - this.summarisedAt > SUMMARY_EVERY_MS) this.#summarise();
    if (!this.table.hidden) this.#fillTable();
  }

  /** Draws again in the colours of the theme. */
  restyle() {
    this.uplot?.destroy();
    this.uplot = null;
    if (this.frame) this.#create(this.#data());
  }

  /** What many stores have none of is neither drawn nor in the legend where there is none of it. */
  #isUsed({ name, seldom }) {
    return !seldom || this.frame.columns[name].some((value) => value > 0);
  }

  #used() {
    return this.lines.filter((one) => this.#isUsed(one));
  }

  #data() {
    const { x, columns } = this.frame;
    return [x, ...this.lines.map((one) => (this.#isUsed(one) ? columns[one.name] : x.map(() => null)))];
  }

  /** Frees what the browser keeps for it. */
  destroy() {
    this.observer.disconnect();
    this.uplot?.destroy();
  }

  #size() {
    const width = Math.max(120, Math.floor(this.plot.clientWidth));
    return { width, height: width < NARROW_PX ? HEIGHT_NARROW_PX : HEIGHT_PX };
  }

  #resize() {
    if (!this.uplot || this.plot.clientWidth === 0) return;
    const size = this.#size();
    if (size.width !== this.uplot.width || size.height !== this.uplot.height) this.uplot.setSize(size);
  }

  #create(data) {
    if (this.plot.clientWidth === 0) return;
    const look = Look.now();
    const options = {
      ...this.#size(),
      padding: [8, 28, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: CURSOR_GROUP },
        drag: { x: false, y: false },
        y: false,
        points: { size: 7, width: 2, stroke: (u, i) => look.tone(this.lines[i - 1].tone), fill: () => look.surface },
      },
      scales: { x: { time: true, range: () => this.range }, y: { range: (u, low, high) => [0, roomy(high)] } },
      axes: [this.#timeAxis(look), this.#valueAxis(look)],
      series: [{}, ...this.lines.map((one) => this.#line(one, look))],
      hooks: { setCursor: [() => this.#read()] },
    };
    this.uplot = new uPlot(options, data, this.plot);
  }

  #line({ name, tone, filled }, look) {
    return {
      show: !this.hidden.has(name),
      stroke: look.tone(tone),
      width: 1.75,
      fill: filled ? (u) => fade(u, look.tone(tone)) : undefined,
      spanGaps: false,
      points: { show: true, size: 4, width: 0, fill: look.tone(tone), filter: lonely },
    };
  }

  #timeAxis(look) {
    return {
      stroke: look.muted,
      font: look.font,
      size: 28,
      gap: 6,
      space: 72,
      grid: { show: false },
      ticks: { stroke: look.line, width: 1, size: 4 },
      border: { show: true, stroke: look.line, width: 1 },
      values: (u, splits, axis, space, step) => splits.map((time) => axisTime(time * 1_000, step)),
    };
  }

  #valueAxis(look) {
    return {
      stroke: look.muted,
      font: look.font,
      size: 52,
      gap: 6,
      space: 36,
      grid: { stroke: look.line, width: 1 },
      ticks: { show: false },
      values: (u, splits) => splits.map((value) => (value === null ? "" : this.format(value))),
    };
  }

  /** The legend: what is under the cursor, else what is now. */
  #read() {
    const { x, columns } = this.frame;
    const hovered = this.uplot?.cursor.idx ?? null;
    const isHovering = hovered !== null && (this.uplot.cursor.left ?? -1) >= 0;
    const index = isHovering ? hovered : x.length - 1;
    setText(this.time, isHovering && x[index] !== undefined ? clock(x[index] * 1_000) : "");
    for (const { name } of this.lines) setText(this.readings.get(name), this.#value(columns[name][index]));
  }

  #value(value) {
    return value === null || value === undefined ? "–" : `${this.readout(value)}${this.unit}`;
  }

  #summarise() {
    this.summarisedAt = performance.now();
    const { x, columns } = this.frame;
    const first = x.findIndex((time) => time >= this.range[0]);
    const parts = this.#used().map(({ name, label }) => {
      const values = columns[name].slice(Math.max(0, first)).filter((value) => value !== null && value !== undefined);
      const peak = values.reduce((most, value) => Math.max(most, value), 0);
      return `${label}: now ${this.#value(columns[name].at(-1))}, highest ${this.#value(peak)}`;
    });
    const [from, to] = this.range.map((time) => clock(time * 1_000));
    setAttribute(this.plot, "aria-label", `${this.title}, from ${from} to ${to}. ${parts.join("; ")}.`);
  }

  #fillTable() {
    const { x, columns } = this.frame;
    const first = Math.max(
      0,
      x.findIndex((time) => time >= this.range[0]),
    );
    const step = Math.max(1, Math.floor((x.length - first) / TABLE_ROWS));
    const rows = [];
    for (let i = x.length - 1; i >= first && rows.length < TABLE_ROWS; i -= step) {
      const cells = this.#used().map(({ name }) => h("td", { text: this.#value(columns[name][i]) }));
      rows.push(h("tr", {}, h("th", { scope: "row", text: clock(x[i] * 1_000) }), cells));
    }
    const heads = ["Time", ...this.#used().map(({ label }) => label)];
    this.table.replaceChildren(
      h(
        "table",
        {},
        h("caption", { class: "visually-hidden", text: `${this.title}: ${this.meaning}` }),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((text) => h("th", { scope: "col", text })),
          ),
        ),
        h("tbody", {}, rows),
      ),
    );
  }
}

/** The colours of the theme that is on, read once for all who draw. */
class Look {
  static now() {
    Look.read ??= Look.#read();
    return Look.read;
  }

  static #read() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    const tones = new Map();
    return {
      muted: read("--ink-3"),
      line: read("--chart-line"),
      surface: read("--surface"),
      font: `11px ${read("--font") || "sans-serif"}`,
      // Whoever asks for a style has the browser work it out anew: once a tone is enough.
      tone: (name) => {
        if (!tones.has(name)) tones.set(name, read(`--${name}`));
        return tones.get(name);
      },
    };
  }
}

document.addEventListener("themechange", () => {
  Look.read = null;
});

/** Room above the highest value. */
function roomy(high) {
  return Math.max(LEAST_TOP, (high ?? 0) * 1.12);
}

/** A soft fill beneath a line; tones are `#rrggbb`, to which two digits add how opaque they are. */
function fade(u, color) {
  const gradient = u.ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height);
  gradient.addColorStop(0, `${color}3d`);
  gradient.addColorStop(1, `${color}05`);
  return gradient;
}

/** Values without a neighbour: a line would not show them. */
function lonely(u, seriesIndex, isShown, gaps) {
  const values = u.data[seriesIndex];
  const found = [];
  for (let i = 0; i < values.length; i += 1) {
    const isAlone = values[i] != null && values[i - 1] == null && values[i + 1] == null;
    if (isAlone) found.push(i);
  }
  return found;
}

const MINUTE_S = 60;
const HALF_DAY_S = 12 * 3_600;

/** A time on the axis, as exact as the step from one to the next (seconds) asks for. */
function axisTime(ms, step) {
  const text = clock(ms);
  if (step < MINUTE_S) return text;
  if (step < HALF_DAY_S) return text.slice(0, 5);
  const date = new Date(ms);
  return `${date.getMonth() + 1}/${date.getDate()} ${text.slice(0, 5)}`;
}

/**
 * A small line without axes, for a card: values at times (seconds), drawn from `from` to `to`. Decoration: the card
 * says the numbers. The canvas's size (CSS pixels) is given, not asked for: that would take a layout.
 */
export function sparkline(canvas, { width, height }, { x, values, from, to, tone }) {
  const scale = window.devicePixelRatio || 1;
  const pixels = [Math.round(width * scale), Math.round(height * scale)];
  if (pixels[0] === 0) return;
  if (canvas.width !== pixels[0]) canvas.width = pixels[0];
  if (canvas.height !== pixels[1]) canvas.height = pixels[1];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  if (x.length < 2) return;
  const color = Look.now().tone(tone);
  const top = Math.max(1, ...values);
  const place = (i) => [((x[i] - from) / (to - from)) * width, height - 1.5 - (values[i] / top) * (height - 4)];
  const path = new Path2D();
  x.forEach((_, i) => path[i === 0 ? "moveTo" : "lineTo"](...place(i)));
  const area = new Path2D(path);
  area.lineTo(place(x.length - 1)[0], height);
  area.lineTo(place(0)[0], height);
  area.closePath();
  context.fillStyle = `${color}24`;
  context.fill(area);
  Object.assign(context, { strokeStyle: color, lineWidth: 1.5, lineJoin: "round" });
  context.stroke(path);
}
