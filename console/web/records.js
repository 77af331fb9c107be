// One SKU, cart or customer, or all that has an id, in a drawer next to the dashboard.

import { get, shownId } from "./api.js";
import { named, things } from "./browse.js";
import { h, setText, show } from "./dom.js";
import { Drawer } from "./drawer.js";
import { count, fitted, moment, plural } from "./format.js";
import { Pages } from "./pages.js";
import { states, texts } from "./words.js";

export const KINDS = { sku: "SKU", hold: "Cart", customer: "Customer", find: "Id" };
const UNKNOWN = {
  unknown: texts.UNKNOWN_RECORD,
  why: texts.UNKNOWN_RECORD_WHY,
  unreadable: texts.UNREADABLE_RECORD,
};
const HOLD_TONES = { live: "queued", ordered: "placed", committed: "completed" };
/** The orders whose units count for their customer. */
const COUNTED = (order) => order.state !== "cancelled" && order.state !== "dead";

/** The drawer of every kind of record but orders. */
export class RecordDrawer extends Drawer {
  /** `closed()` is called when the reader closes it, `link(kind, id)` is the address of a record of the store. */
  constructor({ closed, link, limitOf }) {
    const kind = h("p", { class: "label" });
    const title = h("h2", { id: "record-title", class: "id" });
    const head = h("div", {}, kind, h("div", { class: "drawer-title" }, title));
    super({ look: "record", title, head, about: "Record", close: "Close the record", closed });
    Object.assign(this, { kind, title, link, limitOf });
  }

  open(storeId, kind, id) {
    if (!this.lookUp(`${storeId}/${kind}/${id}`)) return;
    this.storeId = storeId;
    setText(this.kind, KINDS[kind]);
    setText(this.title, shownId(id));
    const make = { sku: () => this.#sku(id), hold: () => this.#hold(id), customer: () => this.#customer(id) };
    this.#load(make[kind] ?? (() => this.#find(id)));
  }

  async #load(make) {
    const { key } = this;
    try {
      const parts = await make();
      if (key === this.key) this.body.replaceChildren(...parts);
    } catch (error) {
      if (key === this.key) this.showError(error, UNKNOWN, () => this.#load(make));
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
    const number = (value) => h("td", { class: "number", text: fitted(value), title: count(value) });
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
          h("li", {}, `${fitted(one.units)} × `, named("sku", one.sku, this.link)),
        ),
      );
      const total = all.reduce((total, one) => total + one.units, 0);
      const limit = this.limitOf();
      const bound = limit > 0 ? ` of ${count(limit)} that a customer may have` : "";
      const isPart = lists.some(({ pages }) => pages.isMore);
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
    const { key, storeId } = this;
    const pages = new Pages(`stores/${storeId}/${path}`, `&${query}`);
    const rows = h("ul", { class: "record-list" });
    const status = h("p", { class: "why", text: "Looking…" });
    const tell = () => {
      const looked = pages.isMore ? `Looked at ${count(pages.looked)}…` : none;
      setText(status, rows.childElementCount === 0 ? looked : "");
      return key === this.key;
    };
    const more = h("button", { class: "plain-button", type: "button", text: "Show more", hidden: true });
    const load = async () => {
      more.disabled = true;
      try {
        const found = await pages.next(tell);
        rows.append(...found.map((one) => h("li", {}, ...make(one))));
        tell();
        taken(found);
      } catch (error) {
        setText(status, error.message);
      }
      show(more, pages.isMore);
      more.disabled = false;
    };
    more.addEventListener("click", load);
    load();
    return { element: h("section", {}, h("h3", { text: title }), rows, status, more), pages };
  }
}

function factList(facts, tone = null) {
  const row = ([term, value]) => h("div", {}, h("dt", { text: term }), h("dd", { data: tone ? { tone } : {} }, value));
  return h("dl", { class: "facts" }, facts.filter(([, value]) => value !== "").map(row));
}
