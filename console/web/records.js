// One SKU, cart or customer, or all that has an id, in a drawer next to the dashboard.

import { get, shownId } from "./api.js";
import { named, things } from "./browse.js";
import { h, icon, setText } from "./dom.js";
import { count, fitted, moment, plural } from "./format.js";
import { states, texts } from "./words.js";

const NUMBER_CHARS = 9;
const PAGE = 50;
const EMPTY_PAGES_MAX = 200;
export const KINDS = { sku: "SKU", hold: "Cart", customer: "Customer", find: "Id" };
const HOLD_TONES = { live: "queued", ordered: "placed", committed: "completed" };
/** The orders whose units count for their customer. */
const COUNTED = (order) => order.state !== "cancelled" && order.state !== "dead";

/** The drawer of every kind of record but orders. */
export class RecordDrawer {
  /** `closed()` is called when the reader closes it, `link(kind, id)` is the address of a record of the store. */
  constructor({ closed, link, limitOf }) {
    Object.assign(this, { link, limitOf, shown: null });
    this.kind = h("p", { class: "label" });
    this.title = h("h2", { id: "record-title", class: "id" });
    this.body = h("div", { class: "drawer-body", tabindex: "0", role: "region", "aria-label": "Record" });
    const close = h(
      "button",
      { class: "quiet-button icon-button", type: "button", "aria-label": "Close the record" },
      icon("close"),
    );
    this.element = h(
      "dialog",
      { class: "drawer record", "aria-labelledby": "record-title" },
      h(
        "div",
        { class: "drawer-head" },
        h("div", {}, this.kind, h("div", { class: "drawer-title" }, this.title)),
        close,
      ),
      this.body,
    );
    close.addEventListener("click", () => this.element.close());
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
    this.element.addEventListener("close", () => {
      if (this.shown === null || this.element.open) return;
      this.shown = null;
      closed();
    });
    document.body.append(this.element);
  }

  open(storeId, kind, id) {
    const shown = `${storeId}/${kind}/${id}`;
    if (this.element.open && this.shown === shown) return;
    Object.assign(this, { shown, storeId });
    setText(this.kind, KINDS[kind]);
    setText(this.title, shownId(id));
    this.body.replaceChildren(h("p", { class: "why", text: "Looking it up…" }));
    if (!this.element.open) this.element.showModal();
    const make = { sku: () => this.#sku(id), hold: () => this.#hold(id), customer: () => this.#customer(id) };
    this.#load(shown, make[kind] ?? (() => this.#find(id)));
  }

  close() {
    this.shown = null;
    if (this.element.open) this.element.close();
  }

  async #load(shown, make) {
    try {
      const parts = await make();
      if (shown === this.shown) this.body.replaceChildren(...parts);
    } catch (error) {
      if (shown !== this.shown) return;
      const isUnknown = error.status === 404;
      const lead = isUnknown ? texts.UNKNOWN_RECORD : texts.UNREADABLE_RECORD;
      const hint = isUnknown ? texts.UNKNOWN_RECORD_WHY : error.message;
      this.body.replaceChildren(h("p", { class: "empty", text: lead }), h("p", { class: "why", text: hint }));
    }
  }

  async #sku(id) {
    const sku = await get(`stores/${this.storeId}/skus/${id}`);
    const bound = (value, none) => (value > 0 ? count(value) : none);
    const facts = [
      ["Available", count(sku.available)],
      ["On hand", count(sku["on-hand"])],
      ["Held", count(sku.held)],
      ["Sold", count(sku.sold)],
      ["Kept back", count(sku.safety)],
      ["Low mark", bound(sku.low, "none")],
      ["Limit a customer", bound(sku.limit, "none of its own")],
      ["Waited for", count(sku.waiting)],
      ["Waited for at most", sku.backlog === undefined ? "no bound" : count(sku.backlog)],
    ];
    const item = (hold) => this.#holdItem(hold);
    const holds = this.#list("holds", `sku=${id}`, "Carts that have it", texts.NO_HOLDS_OF_SKU, item);
    return [factList(facts), holds.element];
  }

  async #hold(id) {
    const hold = await get(`stores/${this.storeId}/holds/${id}`);
    const ended = hold["ended-at"] > 0;
    const facts = [
      ["State", hold.state],
      ["Customer", hold.customer.name === "" ? "nobody yet" : named("customer", hold.customer, this.link)],
      [ended ? "Would have expired" : "Expires", moment(hold["expires-at"], Date.now())],
      ["Ended", ended ? moment(hold["ended-at"], Date.now()) : ""],
    ];
    const number = (value) => h("td", { class: "number", text: fitted(value, NUMBER_CHARS), title: count(value) });
    const rows = hold.items.map(([sku, left, committed], at) =>
      h(
        "tr",
        {},
        h("th", { scope: "row", class: "id" }, named("sku", sku, this.link)),
        number(hold.units[at]),
        number(left),
        number(committed),
      ),
    );
    const heads = ["Held", "Left", "Sold"].map((text) => h("th", { scope: "col", class: "number", text }));
    return [
      factList(facts, HOLD_TONES[hold.state]),
      h(
        "table",
        { class: "rows" },
        h("caption", { class: "visually-hidden", text: "What is in the cart" }),
        h("thead", {}, h("tr", {}, h("th", { scope: "col", text: "Item" }), heads)),
        h("tbody", {}, rows),
      ),
    ];
  }

  async #customer(id) {
    const units = new Map();
    const sums = h("ul", { class: "record-list" });
    const whole = h("p", { class: "why" });
    const lists = [];
    const add = (sku, more) => {
      const known = units.get(sku.id) ?? { sku, units: 0 };
      units.set(sku.id, { sku, units: known.units + more });
    };
    const sum = () => {
      const all = [...units.values()];
      sums.replaceChildren(
        ...all.map((one) =>
          h("li", {}, `${fitted(one.units, NUMBER_CHARS)} × `, named("sku", one.sku, this.link)),
        ),
      );
      const total = all.reduce((total, one) => total + one.units, 0);
      const limit = this.limitOf();
      const bound = limit > 0 ? ` of ${count(limit)} that a customer may have` : "";
      const isPart = lists.some((list) => list.isMore);
      const part = isPart ? ", in what is listed so far" : "";
      setText(whole, `${plural(total, "unit")}${bound}${part}. ${texts.CUSTOMER_SUM}`);
    };
    const taken = (found) => {
      for (const one of found)
        if (one.state === undefined || COUNTED(one))
          for (const [sku, left, sold = 0] of one.items) add(sku, left + sold);
      sum();
    };
    const query = `customer=${id}`;
    lists.push(this.#list("holds", query, "Carts", texts.NO_HOLDS, (hold) => this.#holdItem(hold), taken));
    lists.push(this.#list("orders", query, "Orders", texts.NO_ORDERS, (order) => this.#orderItem(order), taken));
    sum();
    return [h("section", {}, h("h3", { text: "Units" }), sums, whole), ...lists.map(({ element }) => element)];
  }

  async #find(id) {
    const kinds = await get(`stores/${this.storeId}/find/${id}`);
    const found = Object.keys(kinds).filter((kind) => kinds[kind]);
    if (found.length === 1) {
      location.replace(this.link(found[0], id));
      return [];
    }
    const label = { order: "Order", ...KINDS };
    const item = (kind) => h("li", {}, h("a", { href: this.link(kind, id), text: `${label[kind]} ${shownId(id)}` }));
    const text = found.length > 0 ? texts.FOUND_SEVERAL : texts.FOUND_NONE;
    return [h("p", { text }), h("ul", { class: "record-list" }, [...found, "customer"].map(item))];
  }

  #holdItem(hold) {
    const who = hold.customer.name === "" ? [] : [" · ", named("customer", hold.customer, this.link)];
    const until = ` · expires ${moment(hold["expires-at"], Date.now())}`;
    const what = h("span", { class: "why" }, ...things(hold.items, this.link), ...who, until);
    return [named("hold", hold, this.link), " ", what];
  }

  #orderItem(order) {
    const { label, tone } = states[order.state] ?? { label: order.state, tone: "muted" };
    const placed = `placed ${moment(order["placed-at"], Date.now())}`;
    return [
      named("order", order, this.link),
      h("span", { class: "tag", data: { tone }, text: label }),
      h("span", { class: "why" }, ...things(order.items, this.link), ` · ${placed}`),
    ];
  }

  /** A list that goes on page by page; the first page is asked for at once. */
  #list(path, query, title, none, make, taken = () => {}) {
    const { storeId, shown } = this;
    const rows = h("ul", { class: "record-list" });
    const status = h("p", { class: "why", text: "Looking…" });
    const more = h("button", { class: "plain-button", type: "button", text: "Show more", hidden: true });
    const list = { element: h("section", {}, h("h3", { text: title }), rows, status, more), isMore: true };
    let [cursor, looked] = ["0", 0];
    const load = async () => {
      more.disabled = true;
      for (let pages = 0; pages < EMPTY_PAGES_MAX && shown === this.shown && cursor !== null; pages += 1) {
        let page;
        try {
          page = await get(`stores/${storeId}/${path}?count=${PAGE}&cursor=${cursor}&${query}`);
        } catch (error) {
          setText(status, error.message);
          break;
        }
        cursor = page.next;
        looked += page.looked;
        list.isMore = cursor !== null;
        rows.append(...page.found.map((one) => h("li", {}, ...make(one))));
        const isEmpty = rows.childElementCount === 0;
        setText(status, isEmpty ? (list.isMore ? `Looked at ${count(looked)}…` : none) : "");
        taken(page.found);
        if (page.found.length > 0) break;
      }
      more.hidden = cursor === null;
      more.disabled = false;
    };
    more.addEventListener("click", load);
    load();
    return list;
  }
}

function factList(facts, tone = null) {
  const row = ([term, value]) => h("div", {}, h("dt", { text: term }), h("dd", { data: tone ? { tone } : {} }, value));
  return h("dl", { class: "facts" }, facts.filter(([, value]) => value !== "").map(row));
}
