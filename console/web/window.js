// The sale window: opens in, closes in, closed; by the server's clock.

import { act } from "./api.js";
import { ask } from "./browse.js";
import { h, setAttribute, setBar, setName, setText, show } from "./dom.js";
import { countdown, duration, moment } from "./format.js";
import { texts } from "./words.js";

/** A countdown is marked when less than this is left. */
const SOON_MS = 60_000;
const OPEN_TONE = "completed";

/**
 * Where a store is in its window at a time (Unix ms): `kind` always, before, open or closed; `label` and `tone`
 * for a chip; `lead` and `value` make a sentence; `part` of the window that is over, null if it has no two ends.
 */
export function phase({ opens, closes }, now) {
  if (opens > now) {
    return {
      kind: "before",
      tone: "placed",
      label: "Not open yet",
      lead: "opens in",
      value: countdown(opens - now),
      part: 0,
      isSoon: opens - now < SOON_MS,
    };
  }
  if (closes > 0 && closes <= now) {
    const value = `${duration(now - closes)} ago`;
    return { kind: "closed", tone: null, label: "Closed", lead: "closed", value, part: 1 };
  }
  if (closes > 0) {
    const part = opens > 0 && closes > opens ? (now - opens) / (closes - opens) : null;
    return {
      kind: "open",
      tone: OPEN_TONE,
      label: "Open",
      lead: "closes in",
      value: countdown(closes - now),
      part,
      isSoon: closes - now < SOON_MS,
    };
  }
  if (opens > 0) {
    const value = duration(now - opens);
    return { kind: "open", tone: OPEN_TONE, label: "Open", lead: "open for", value, part: null };
  }
  return { kind: "always", tone: OPEN_TONE, label: "Open", lead: "", value: "no window set", part: null };
}

/** The window's times in a sentence. */
function explain({ opens, closes }, now) {
  if (opens === 0 && closes === 0) return "Orders are taken at any time: no sale window is set.";
  const begin = opens > 0 ? `from ${moment(opens, now)}` : "";
  const end = closes > 0 ? `until ${moment(closes, now)}` : "";
  return `Orders are taken ${[begin, end].filter(Boolean).join(" ")}${closes > 0 ? "" : ", with no end set"}.`;
}

/** The head of a store's page: its name, the state of its window, and the countdown. */
export class WindowHead {
  /** `actions.notify(text)` says what came back when the store is paused. */
  constructor(storeId, { notify }) {
    Object.assign(this, { storeId, notify });
    this.pause = h("button", { class: "small-button", type: "button", hidden: true, onclick: () => this.#pause() });
    this.name = h("h1", { class: "store-name", tabindex: "-1" });
    this.state = h("span", { class: "chip" });
    this.soldOut = h("span", { class: "chip", data: { tone: "completed" }, hidden: true, text: "Sold out" });
    this.paused = h("span", {
      class: "chip",
      data: { tone: "queued" },
      hidden: true,
      text: "Paused",
      title: "STORE.SET … paused yes: orders are taken, but nothing is handed to workers",
    });
    this.sentence = h("p", { class: "why" });
    this.lead = h("span", { class: "countdown-lead" });
    this.value = h("span", { class: "countdown-value" });
    this.bar = h("span", { class: "bar-fill" });
    this.track = h("span", { class: "bar-track countdown-track", "aria-hidden": "true" }, this.bar);
    this.element = h(
      "header",
      { class: "store-head" },
      h(
        "div",
        { class: "store-title" },
        h("div", { class: "store-line" }, this.name, this.state, this.soldOut, this.paused, this.pause),
        this.sentence,
      ),
      h(
        "div",
        { class: "countdown", role: "timer", "aria-live": "off" },
        h("p", { class: "countdown-text" }, this.lead, " ", this.value),
        this.track,
      ),
    );
  }

  /** Whether one may write: then the store can be paused and resumed. */
  allow(writes) {
    show(this.pause, writes);
  }

  async #pause() {
    const { isPaused } = this;
    const question = isPaused
      ? { title: "Resume the store?", text: texts.RESUMES, action: "Resume" }
      : { title: "Pause the store?", text: texts.PAUSES, action: "Pause" };
    const run = () => act(this.storeId, "pause", { paused: !isPaused });
    const said = ({ paused }) => this.notify(paused ? texts.IS_PAUSED : texts.IS_RESUMED);
    await ask(this.pause, question, run, said, this.notify);
  }

  /** Shows it as it is at a time. */
  update({ name, window, paused, isSoldOut }, now) {
    const current = phase(window, now);
    setName(this.name, name);
    setText(this.state, current.label);
    setAttribute(this.state, "data-tone", current.tone);
    show(this.soldOut, isSoldOut);
    show(this.paused, paused);
    this.isPaused = paused;
    setText(this.pause, paused ? "Resume" : "Pause");
    setText(this.sentence, explain(window, now) + (paused ? ` ${texts.PAUSED}` : ""));
    setText(this.lead, current.lead);
    setText(this.value, current.kind === "always" ? "" : current.value);
    setAttribute(this.value, "data-soon", current.isSoon === true ? "yes" : null);
    show(this.track, current.part !== null);
    setBar(this.bar, current.part);
    return current.kind;
  }
}
