// Refusals by reason: how often which no, with the code that clients see and what it means.

import { h, keyed, setBar, setText, show } from "./dom.js";
import { count, percent } from "./format.js";
import { panels, refusals, refusedIn, texts } from "./words.js";

export class Refusals {
  constructor() {
    const [title, meaning] = panels.refusals;
    this.list = h("ul", { class: "bars" });
    this.none = h("p", { class: "empty", text: texts.NO_REFUSALS });
    this.rest = h("p", { class: "why rest" });
    this.total = h("span", { class: "card-number", data: { field: "refused-total" } });
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "refusals-title" },
      h("div", { class: "card-head" }, h("h3", { id: "refusals-title", text: title }), this.total),
      h("p", { class: "why", text: meaning }),
      this.none,
      this.list,
      this.rest,
    );
  }

  /** Shows a sample. */
  update(metrics) {
    const all = refusedIn(metrics);
    const some = refusals.map((one) => ({ ...one, value: metrics[one.name] ?? 0 })).filter(({ value }) => value > 0);
    some.sort((a, b) => b.value - a.value);
    const most = some[0]?.value ?? 1;
    show(this.none, some.length === 0);
    setText(this.total, count(all));
    keyed(
      this.list,
      some,
      ({ code }) => code,
      makeRow,
      (row, one) => {
        const { bar, value, part } = row.parts;
        setBar(bar, one.value / most);
        setText(value, count(one.value));
        setText(part, percent(one.value, all));
      },
    );
    const never = refusals.filter(({ name }) => !(metrics[name] > 0)).map(({ code }) => code);
    setText(this.rest, some.length > 0 && never.length > 0 ? `${texts.NEVER_REFUSED}: ${never.join(", ")}` : "");
    show(this.rest, some.length > 0 && never.length > 0);
  }
}

function makeRow({ code, label, meaning }) {
  const bar = h("span", { class: "bar-fill" });
  const value = h("span", { class: "bar-value", data: { code } });
  const part = h("span", { class: "bar-part" });
  const row = h(
    "li",
    { class: "bar-row", data: { tone: "refused" } },
    h(
      "div",
      { class: "bar-text" },
      h("span", { class: "bar-name", text: label }),
      h("code", { text: code }),
      h("span", { class: "bar-numbers" }, value, " ", part),
    ),
    h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
    h("p", { class: "why", text: meaning }),
  );
  return Object.assign(row, { parts: { bar, value, part } });
}
