// How the stores are shown: as cards or as a table, by what they are sorted, and which. It is part of the address, so
// that one can keep and send it; how it was last is remembered.

const KEY = "holdfast-stores";
/** From so many stores on they are a table, as long as the reader has not chosen. */
const TABLE_FROM = 13;

export const VIEWS = ["cards", "table"];

export class Choice {
  /** What the address says after its `?` (`query`), else as it was last; `columns` are those one can sort by. */
  constructor(query, columns) {
    const said = new URLSearchParams(query ?? "");
    const last = remembered();
    const get = (name) => said.get(name) ?? last[name];
    this.view = VIEWS.includes(get("view")) ? get("view") : null;
    const sort = String(get("sort") ?? "");
    const column = sort.replace(/^-/, "");
    /** A column, and whether the highest value is first. */
    this.sort = columns.includes(column) ? { column, isDown: sort.startsWith("-") } : { column: "state", isDown: true };
    this.find = said.get("find") ?? "";
  }

  /** The view of so many stores. */
  viewOf(count) {
    return this.view ?? (count >= TABLE_FROM ? "table" : "cards");
  }

  /** The address of the stores as they are shown. */
  get address() {
    const query = new URLSearchParams();
    if (this.view !== null) query.set("view", this.view);
    if (this.#sort !== "-state") query.set("sort", this.#sort);
    if (this.find !== "") query.set("find", this.find);
    return query.size > 0 ? `#/stores?${query}` : "#/stores";
  }

  get #sort() {
    return `${this.sort.isDown ? "-" : ""}${this.sort.column}`;
  }

  /** Puts it into the address, and remembers it. */
  keep() {
    history.replaceState(null, "", this.address);
    try {
      localStorage.setItem(KEY, JSON.stringify({ view: this.view, sort: this.#sort }));
    } catch {
      // Storage is switched off: not remembered, but done.
    }
  }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}
