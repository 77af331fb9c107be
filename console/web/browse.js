// All records of a store, page by page: orders by state, lane and customer, carts, SKUs, alerts. Nothing is out of
// reach.

import { alertParts } from "./alerts.js";
import { act } from "./api.js";
import { confirm } from "./dialogs.js";
import { h, icon, keyed, scrollBox, setAttribute, setText, show } from "./dom.js";
import { count, fitted, moment, plural } from "./format.js";
import { Pages } from "./pages.js";
import { panels, states, texts } from "./words.js";

const KINDS = [
  ["orders", "Orders"],
  ["holds", "Carts"],
  ["skus", "SKUs"],
  ["alerts", "Alerts"],
];
const OPEN_STATES = new Set(["waitlisted", "pending", "queued", "claimed", "retrying", "dead"]);

/** What one may do to an order in a state. */
export function actionsOf(order) {
  const list = order.state === "dead" ? ["redrive"] : [];
  return OPEN_STATES.has(order.state) ? [...list, "cancel"] : list;
}

export class Browse {
  /** `link(kind, id)` is the address of a record, `notify(text)` says what came back. */
  constructor(storeId, { link, notify }) {
    Object.assign(this, { storeId, link, notify, kind: "orders", pages: null, found: [], writes: false });
    const [title, meaning] = panels.browse;
    this.kinds = KINDS.map(([kind, label]) =>
      h("button", {
        type: "button",
        class: "segment",
        text: label,
        data: { kind },
        onclick: () => this.show({ kind }),
      }),
    );
    this.state = h(
      "select",
      { name: "state" },
      h("option", { value: "", text: "any state" }),
      Object.entries(states).map(([name, { label }]) => h("option", { value: name, text: label })),
    );
    this.lane = field("lane", "any lane");
    this.noLane = check("nolane", "no lane");
    this.customer = field("customer", "any customer");
    this.sku = field("sku", "any SKU");
    this.part = field("part", "part of the id");
    this.late = check("late", "late");
    this.low = check("low", "low");
    this.fields = {
      orders: [
        labelled("State", this.state),
        labelled("Lane", this.lane),
        this.noLane,
        labelled("Customer", this.customer),
        this.late,
      ],
      holds: [labelled("Customer of carts", this.customer.cloneNode()), labelled("SKU", this.sku)],
      skus: [labelled("Id", this.part), this.low],
      alerts: [],
    };
    this.holdCustomer = this.fields.holds[0].querySelector("input");
    this.form = h(
      "form",
      { class: "browse-form", autocomplete: "off" },
      Object.values(this.fields),
      h("button", { class: "plain-button", type: "submit" }, icon("search"), "Show"),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    this.form.addEventListener("change", (event) => event.target.matches("select, [type=checkbox]") && this.#begin());
    this.list = h("ul", { class: "browse-list" });
    this.none = h("p", { class: "empty", role: "status", text: texts.BROWSE_HINT });
    this.more = h("button", { class: "plain-button", type: "button", text: "Show more", hidden: true });
    this.more.addEventListener("click", () => this.#more());
    this.element = h(
      "section",
      { class: "card panel browse", "aria-labelledby": "browse-title" },
      h(
        "div",
        { class: "card-head" },
        h("h3", { id: "browse-title", tabindex: "-1", text: title }),
        h("div", { class: "segments", role: "group", "aria-label": "Kind of record" }, this.kinds),
      ),
      h("p", { class: "why", text: meaning }),
      this.form,
      scrollBox("Records", this.list),
      this.none,
      h("p", {}, this.more),
    );
    this.#showKind();
  }

  /** Shows records of a kind: `{kind, state, lane, customer, sku}`; what is not named is any. */
  show({ kind, state = "", lane = null, customer = "", sku = "" }) {
    this.kind = kind;
    this.state.value = state;
    this.lane.value = lane ?? "";
    this.noLane.querySelector("input").checked = lane === "";
    for (const input of [this.customer, this.holdCustomer]) input.value = customer;
    this.sku.value = sku;
    this.#showKind();
    this.#begin();
  }

  /** The same, and the reader is led there: from a list that shows a part. */
  lead(wanted) {
    this.show(wanted);
    this.element.scrollIntoView({ block: "start" });
    this.element.querySelector("h3").focus({ preventScroll: true });
  }

  /** Whether one may write: then each order has what one may do to it. */
  allow(writes) {
    if (writes === this.writes) return;
    this.writes = writes;
    this.#list();
  }

  #showKind() {
    for (const button of this.kinds) setAttribute(button, "aria-pressed", String(button.dataset.kind === this.kind));
    for (const [kind, fields] of Object.entries(this.fields))
      for (const one of fields) show(one, kind === this.kind);
  }

  #query() {
    const checked = (label) => label.querySelector("input").checked;
    const noLane = checked(this.noLane);
    const of = {
      orders: {
        state: this.state.value,
        lane: noLane ? "" : this.lane.value || null,
        customer: this.customer.value,
        late: checked(this.late) ? "1" : "",
      },
      holds: { customer: this.holdCustomer.value, sku: this.sku.value },
      skus: { part: this.part.value, low: checked(this.low) ? "1" : "" },
      alerts: {},
    }[this.kind];
    const isWanted = ([name, value]) => (name === "lane" ? value !== null : value !== "");
    const pairs = Object.entries(of).filter(isWanted);
    return pairs.map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join("");
  }

  #begin() {
    this.pages = new Pages(`stores/${this.storeId}/${this.kind}`, this.#query());
    this.found = [];
    this.#list();
    this.#more();
  }

  /** The next page, unless another question is asked meanwhile. */
  async #more() {
    const { pages } = this;
    const isWanted = () => pages === this.pages;
    const goesOn = () => {
      if (isWanted()) this.#list();
      return isWanted();
    };
    this.more.disabled = true;
    try {
      this.found.push(...(await pages.next(goesOn)));
      if (!isWanted()) return;
      this.#list();
    } catch (error) {
      if (!isWanted()) return;
      setText(this.none, error.message);
      show(this.none, true);
      show(this.more, true);
    }
    this.more.disabled = false;
  }

  #list() {
    keyed(
      this.list,
      this.found,
      ({ id, entry }) => `${this.kind} ${id ?? entry}`,
      () => h("li", { class: "browse-row" }),
      (row, one) => this.#fill(row, one),
    );
    const { pages } = this;
    show(this.more, pages !== null && pages.isBegun && pages.isMore);
    show(this.none, this.found.length === 0);
    const looking = pages?.looked > 0 ? `Looked at ${count(pages.looked)}…` : "Looking…";
    setText(this.none, !pages ? texts.BROWSE_HINT : pages.isMore ? looking : texts.BROWSE_NONE);
  }

  #fill(row, one) {
    const shown = JSON.stringify([one, this.writes]);
    if (row.shown === shown) return;
    row.shown = shown;
    const isAlert = this.kind === "alerts";
    row.classList.toggle("alert-row", isAlert);
    if (isAlert) {
      setAttribute(row, "data-tone", one.tone);
      row.replaceChildren(...alertParts(one, this.link, Date.now()));
      return;
    }
    const make = { orders: orderRow, holds: holdRow, skus: skuRow }[this.kind];
    const { tone, tag, parts } = make(one, this.link);
    setAttribute(row, "data-tone", tone);
    const kind = { orders: "order", holds: "hold", skus: "sku" }[this.kind];
    row.replaceChildren(
      h("a", { class: "id", href: this.link(kind, one.id), text: one.name, title: one.name }),
      h("span", { class: "tag", text: tag }),
      h("span", { class: "why browse-what" }, ...parts),
      ...(this.kind === "orders" && this.writes ? [this.#buttons(one)] : []),
    );
  }

  #buttons(order) {
    const done = (state) => {
      Object.assign(order, { state });
      this.#list();
    };
    return orderButtons(this.storeId, order, this.notify, done);
  }
}

/** The buttons for what one may do to an order; each asks first. `done(state)` is called with its new state. */
export function orderButtons(storeId, order, notify, done) {
  const box = h("span", { class: "row-buttons" });
  const add = (label, name, run) => {
    const button = h("button", { class: "small-button", type: "button", text: label, "aria-label": name });
    button.addEventListener("click", () => run(button));
    box.append(button);
  };
  const { name } = order;
  const doing = (button, question, path, body, said) =>
    ask(button, question, () => act(storeId, path, body), (reply) => {
      const [text, state] = said(reply);
      notify(text);
      if (state) done(state);
    }, notify);
  for (const gate of order.state === "pending" ? order.gates : []) {
    add(`Pass gate ${gate.name}`, `Pass gate ${gate.name} of order ${name}`, (button) =>
      doing(
        button,
        { title: `Pass gate ${gate.name}?`, text: `Order ${name}: ${texts.PASSES_GATE}`, action: "Pass the gate" },
        "pass",
        { order: order.id, gate: gate.id },
        ({ left }) => {
          order.gates = order.gates.filter((one) => one !== gate);
          if (left === 0) return [`Gate passed. Order ${name} is queued.`, "queued"];
          return [`Gate passed. Order ${name} has ${plural(left, "gate")} to pass.`, "pending"];
        },
      ),
    );
  }
  const can = actionsOf(order);
  if (can.includes("redrive"))
    add("Redrive", `Redrive order ${name}`, (button) =>
      doing(
        button,
        { title: `Redrive order ${name}?`, text: texts.REDRIVES_ORDER, action: "Redrive" },
        "redrive",
        { order: order.id },
        ({ redriven }) =>
          redriven > 0 ? [`Order ${name} is queued again.`, "queued"] : [`Order ${name} ${texts.STAYED_DEAD}`, null],
      ),
    );
  if (can.includes("cancel"))
    add("Cancel", `Cancel order ${name}`, (button) =>
      doing(
        button,
        { title: `Cancel order ${name}?`, text: texts.CANCELS_ORDER, action: "Cancel the order", keep: "Keep it" },
        "cancel",
        { order: order.id },
        ({ units }) => [`Order ${name} is cancelled: ${plural(units, "unit")} put back.`, "cancelled"],
      ),
    );
  return box;
}

/** Asks, carries it out and says what came back; errors in the server's words. */
export async function ask(button, question, run, said, notify) {
  if (!(await confirm(question))) return;
  button.disabled = true;
  try {
    said(await run());
  } catch (error) {
    notify(`Nothing changed: ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

function orderRow(order, link) {
  const { tone, label } = states[order.state] ?? { tone: "muted", label: order.state };
  const lane = order.lane.name === "" ? null : `lane ${order.lane.name}`;
  const open = order.state === "pending" ? order.gates.map(({ name }) => `waits for ${name}`) : [];
  const rest = [lane, ...open, order.worker && `worker ${order.worker}`, order.reason, order.late ? "late" : null];
  const placed = `placed ${moment(order["placed-at"], Date.now())}`;
  return {
    tone,
    tag: label,
    parts: [
      ...things(order.items, link),
      " · ",
      named("customer", order.customer, link),
      ...[placed, ...rest].filter(Boolean).flatMap((text) => [" · ", h("span", { class: "cut", text, title: text })]),
    ],
  };
}

function holdRow(hold, link) {
  const who = hold.customer.name === "" ? ["nobody yet"] : [named("customer", hold.customer, link)];
  return {
    tone: "queued",
    tag: "live",
    parts: [...things(hold.items, link), " · ", ...who, ` · expires ${moment(hold["expires-at"], Date.now())}`],
  };
}

function skuRow(sku) {
  const isOut = sku.available <= 0;
  const isLow = sku.low > 0 && sku.available <= sku.low;
  const number = (name) => fitted(sku[name]);
  const waiting = sku.waiting > 0 ? ` · ${number("waiting")} waited for` : "";
  return {
    tone: isOut ? "refused" : isLow ? "queued" : "available",
    tag: isOut ? "out" : isLow ? "low" : "in stock",
    parts: [
      `${number("available")} available · ${number("held")} held · ${number("on-hand")} on hand · ` +
        `${number("sold")} sold${waiting}`,
    ],
  };
}

/** "2 × mug, 1 × cap", with links. */
export function things(items, link) {
  return items.flatMap(([sku, units], at) => [
    `${at > 0 ? ", " : ""}${fitted(units)} × `,
    named("sku", sku, link),
  ]);
}

export function named(kind, { id, name }, link) {
  return h("a", { class: "id", href: link(kind, id), text: name, title: name });
}

function field(name, placeholder) {
  return h("input", { name, placeholder, type: "text", spellcheck: "false", autocapitalize: "off", maxlength: "512" });
}

function labelled(text, input) {
  return h("label", { class: "browse-field" }, h("span", { text }), input);
}

function check(name, text) {
  return h("label", { class: "browse-check" }, h("input", { type: "checkbox", name }), text);
}
