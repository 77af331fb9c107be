// The way of the orders: how many wait for units, for a gate, for a worker, and what comes next.

import { h, setAttribute, setName, setNumber, setText, show } from "./dom.js";
import { age, count, countdown, fitted, plural } from "./format.js";
import { flow, texts } from "./words.js";

/** What waits for less than this until it is cancelled is marked. */
export const SOON_MS = 60_000;

/** Whether orders of a store ever waited for units or gates: where none did, there is nothing to see. */
export function knowsWaits(metrics) {
  return ["pending", "waitlisted", "gates-expired", "waitlist-expired"].some((name) => metrics[name] > 0);
}

export class Flow {
  constructor() {
    this.steps = new Map(flow.map((one) => [one.name, makeStep(one)]));
    this.element = h(
      "section",
      { class: "card flow", "aria-label": texts.WAY_OF_ORDERS, hidden: true },
      h(
        "ol",
        { class: "flow-steps" },
        [...this.steps.values()].map(({ element }) => element),
      ),
    );
  }

  /** Shows a sample that was taken at a time (Unix ms, or null: now) and, when it has come, the detail. */
  update(metrics, at, detail) {
    show(this.element, knowsWaits(metrics));
    if (this.element.hidden) return;
    for (const [name, { element, value }] of this.steps) {
      setNumber(value, count(metrics[name]));
      setAttribute(element, "data-empty", metrics[name] > 0 ? null : "yes");
    }
    this.dues = new Map();
    for (const { state, due } of detail?.waits.shown ?? []) {
      if (due !== null && !this.dues.has(state)) this.dues.set(state, due);
    }
    const sku = detail?.skus.shown[0];
    this.#want(sku?.waiting > 0 ? sku : null);
    Object.assign(this, { at, oldestMs: metrics["oldest-waiting-ms"] });
    this.#say("in-work", metrics.workers > 0 ? plural(metrics.workers, "worker") : "");
  }

  /** Brings up to date how long the next waits, and when one is cancelled; `now`: Unix ms, the server's clock. */
  tick(now) {
    if (this.element.hidden) return;
    const next = (name) => (this.dues?.has(name) ? this.dues.get(name) - now : null);
    const words = (left) => (left === null ? "" : `next expires in ${countdown(left)}`);
    const waitedMs = this.oldestMs + Math.max(0, now - (this.at ?? now));
    this.#say("queued", this.oldestMs > 0 ? `the next since ${age(waitedMs)}` : "");
    this.#say("pending", words(next("pending")), next("pending"));
    this.#say("waitlisted", words(next("waitlisted")), next("waitlisted"));
  }

  /** The SKU that most is waited for; null: none. */
  #want(sku) {
    const { wanted, units, name } = this.steps.get("waitlisted");
    show(wanted, sku !== null);
    setText(units, sku === null ? "" : `${fitted(sku.waiting)} × `);
    setName(name, sku?.name ?? "");
  }

  #say(name, text, leftMs = null) {
    const { sub } = this.steps.get(name);
    setText(sub, text);
    setAttribute(sub, "data-soon", leftMs !== null && leftMs < SOON_MS ? "yes" : null);
  }
}

function makeStep({ name, tone, label, meaning }) {
  const value = h("span", { class: "mini-value", data: { step: name } });
  const sub = h("span", { class: "flow-sub" });
  const units = h("span", {});
  const sku = h("span", { class: "id" });
  const wanted = h("span", { class: "flow-wanted", hidden: true }, units, sku);
  const element = h(
    "li",
    { class: "flow-step", data: { tone } },
    h("span", { class: "label" }, h("span", { class: "swatch", "aria-hidden": "true" }), label),
    value,
    sub,
    wanted,
    h("span", { class: "why", text: meaning }),
  );
  return { element, value, sub, wanted, units, name: sku };
}
