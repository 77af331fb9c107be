// Holdfast in the browser: which page is shown, what the server sends, and what the reader is told.

import { addressOf, canonicalId, canonicalStore, encodeId, get, keyOf, shownId } from "./api.js";
import { openHelp } from "./dialogs.js";
import { h, icon, setAttribute, setName, setText, show } from "./dom.js";
import { Feed } from "./feed.js";
import { lineWords, productName, showLine } from "./line.js";
import { OrderDrawer } from "./order.js";
import { Overview } from "./overview.js";
import { KINDS, RecordDrawer } from "./records.js";
import { StorePage } from "./store.js";

/** Countdowns and ages are brought up to date this often. */
const TICK_MS = 200;
/** Charts of a quiet store move on this often. */
const REDRAW_MS = 1_000;
const TOAST_MS = 6_000;

const byId = (id) => document.getElementById(id);
const main = byId("main");

const state = { server: null, writes: false, stores: null, newest: 0, now: Date.now(), isFresh: false };
let view = null;
let storeId = null;
let isGone = false;
/** The stores whose key is that of the store that is shown, in whatever database. */
let namesakes = [];
/** The page that comes next is one that the reader went to. */
let takesFocus = false;
let drawnAt = 0;
/** Something came that is not shown yet; and whether it changes the view. */
let isDirty = false;
let viewIsOld = false;
let frame = null;
let lineBefore = null;
let toastTimer = null;

const feed = new Feed({ heard, changed: tick });
const recordLink = (kind, id) => addressOf(storeId, kind, id);
const closed = () => replace(addressOf(storeId));
const order = new OrderDrawer({ closed, notify, now: () => feed.now(), link: recordLink });

const limitOf = () => view.store?.detail?.settings.limit ?? 0;
const record = new RecordDrawer({ closed, link: recordLink, limitOf });

const actions = {
  notify,
  announce,
  alarm,
  recordLink: addressOf,
  orderLink: (store, id) => addressOf(store, "order", id),
  redraw,
  wholeHistory,
};

/**
 * The address: `#/stores`, `#/stores/{store}`, `#/stores/{store}/order/{order}` (or sku, hold, customer, find;
 * `#/store/…` is the same); none: the only store, or all of them. After a `?` it says how the stores are shown.
 */
function route() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const [, kind, id, what, orderId] = path.split("/");
  const isStore = (kind === "store" || kind === "stores") && id;
  openPage(isStore ? canonicalStore(id) : null, query);
  const isOrder = isStore && what === "order" && orderId;
  const isRecord = isStore && Object.hasOwn(KINDS, what) && orderId;
  // What closes gives the focus back, and what opens after it remembers where that was.
  if (!isOrder) order.close();
  if (!isRecord) record.close();
  if (isOrder) order.open(storeId, canonicalId(orderId));
  if (isRecord) record.open(storeId, what, canonicalId(orderId));
}

function go(hash) {
  if (location.hash !== hash) location.hash = hash;
}

/** Shows another address in the place of this one: no step in the browser's history. */
function replace(hash) {
  history.replaceState(null, "", hash);
  route();
}

function openPage(id, query) {
  const isSame = id !== null || query === undefined || location.hash === view?.choice?.address;
  if (view && id === storeId && isSame) return;
  const isFirst = view === null;
  // The way back to the stores, as they were shown.
  if (view?.choice) setAttribute(byId("crumb-stores"), "href", view.choice.address);
  view?.destroy?.();
  storeId = id;
  isGone = false;
  namesakes = [];
  view = id === null ? new Overview(query) : new StorePage(id, actions);
  const search = byId("search");
  show(search, id !== null);
  show(byId("crumb-store"), id !== null);
  show(byId("crumb-slash"), id !== null);
  setName(byId("crumb-store"), id === null ? "" : shownId(id));
  setAttribute(byId("crumb-stores"), "aria-current", id === null ? "page" : null);
  feed.follow(id);
  takesFocus = !isFirst;
  place();
  window.scrollTo(0, 0);
}

/** Shows what came in the next frame: once, however much it was. A page in the background has no frames, but ticks. */
function wantFrame() {
  isDirty = true;
  if (frame === null && !document.hidden) frame = requestAnimationFrame(showNews);
}

function showNews() {
  cancelAnimationFrame(frame);
  frame = null;
  isDirty = false;
  refresh();
  place();
  if (viewIsOld && (storeId !== null || state.stores !== null)) {
    drawnAt = performance.now();
    view.update(state);
  }
  viewIsOld = false;
  tick();
}

/** Puts the page in place as soon as there is something to show. */
function place() {
  const isKnown = storeId === null ? state.stores !== null : view.store.window !== undefined;
  if (isKnown && !main.contains(view.element)) put(view.element);
}

function put(page) {
  main.replaceChildren(page);
  if (takesFocus) main.querySelector("h1").focus({ preventScroll: true });
  takesFocus = false;
}

function heard(event, data) {
  refresh();
  if (event === "server") takeServer(data);
  if (event === "stores") takeStores(data);
  if (event === "gone") takeGone(data.id);
  if (storeId === null) {
    if (event === "sample") {
      view.sample(data);
      state.newest = Math.max(state.newest, data.at);
    }
    viewIsOld ||= event === "stores";
    // Samples are drawn with the next list of stores: very many stores sample very often.
    if (event === "sample" || event === "beat") return;
  } else if (data.id === undefined || data.id === storeId) {
    if (event === "detail" || event === "sample") isGone = false;
    if (event !== "beat" && event !== "server" && event !== "gone") {
      view.heard(event, data);
      viewIsOld = true;
    }
    if (["server", "sample", "detail"].includes(event)) order.changed(state.writes);
  }
  wantFrame();
}

function takeServer({ server, writes }) {
  Object.assign(state, { server, writes });
  showServer();
}

/** All stores; a store's page hears of those that have its name, in whatever database. */
function takeStores({ stores, server, writes }) {
  Object.assign(state, { server, writes });
  if (storeId === null) {
    const newest = stores.reduce((last, { at }) => Math.max(last, at ?? 0), 0);
    Object.assign(state, { stores, newest });
  } else {
    namesakes = stores.filter(({ id }) => keyOf(id) === storeId);
  }
  showServer();
  const isUnaddressed = location.hash === "" || location.hash === "#";
  if (storeId === null && isUnaddressed && stores.length === 1) {
    replace(addressOf(stores[0].id));
  } else if (storeId !== null && server.connected && !stores.some(({ id }) => id === storeId)) {
    takeGone(storeId);
  }
}

/**
 * The store is not there (any more), or its address is the name of a store of another database than 0. Should it come,
 * the page follows by itself.
 */
function takeGone(id) {
  if (id !== storeId || isGone) return;
  if (namesakes.length === 1) {
    replace(addressOf(namesakes[0].id));
    return;
  }
  isGone = true;
  const text =
    namesakes.length > 0
      ? `There are several stores “${shownId(id)}”:`
      : `There is no store “${shownId(id)}”. If it is made, it shows up here by itself.`;
  const links = namesakes.map((store) => h("li", {}, h("a", { href: addressOf(store.id), text: store.name })));
  view.destroy();
  view = new StorePage(id, actions);
  put(
    h(
      "div",
      { class: "loading" },
      h("h1", { class: "gone-title", tabindex: "-1", text }),
      h("ul", { class: "gone-links" }, links),
      h("p", {}, h("a", { href: "#/stores", text: "All stores" })),
    ),
  );
  announce(text);
}

function showServer() {
  const { server, writes } = state;
  if (!server) return;
  const version = server.version ? ` · ${productName(server)} ${server.version}, ${server.role}` : "";
  setText(byId("foot"), `holdfast watch on ${server.url}${version} · ${writes ? "writes allowed" : "read-only"}`);
}

/** What is true at this moment, before anything is drawn. */
function refresh() {
  state.now = feed.now();
  state.isFresh = feed.state === "live" && (state.server?.connected ?? true);
}

function newestAt() {
  if (storeId !== null) return view.store.at;
  return state.newest > 0 ? state.newest : null;
}

function tick() {
  refresh();
  state.isFresh = showLine({ feed, server: state.server, at: newestAt() });
  const line = document.body.dataset.line;
  tellLine(line);
  view.tick?.(state);
  order.tick(state.isFresh);
  if (state.isFresh && performance.now() - drawnAt > REDRAW_MS && !document.hidden) redraw();
  showTitle();
}

function tellLine(line) {
  const isDown = line === "lost" || line === "away";
  const wasDown = lineBefore === "lost" || lineBefore === "away";
  if (isDown && line !== lineBefore) announce(lineWords(line, state.server));
  if (wasDown && (line === "live" || line === "quiet")) {
    announce(lineWords("back", state.server));
    if (storeId === null) view.connected();
  }
  if (lineBefore !== null && isDown !== wasDown && main.contains(view.element)) view.update(state);
  lineBefore = line;
}

function redraw() {
  if (!main.contains(view.element) || !(storeId === null ? state.stores : view.store.metrics)) return;
  drawnAt = performance.now();
  view.draw(state);
}

/** Asks for the history in full: what comes over the line is thinned. */
async function wholeHistory(id) {
  try {
    const whole = await get(`stores/${id}/history`);
    if (id !== storeId) return;
    view.heard("history", whole);
    viewIsOld = true;
    wantFrame();
  } catch (error) {
    notify(`The full history could not be read: ${error.message}`);
  }
}

function showTitle() {
  const metrics = storeId === null ? null : view.store.metrics;
  const alarmed = metrics?.oversold > 0 ? "OVERSOLD · " : "";
  const title =
    storeId === null
      ? "Stores · Holdfast"
      : `${alarmed}${shownId(storeId)}${metrics ? `: ${metrics.available} left` : ""} · Holdfast`;
  if (document.title !== title) document.title = title;
}

function notify(text) {
  const toast = byId("toast");
  setText(toast, text);
  toast.classList.add("is-shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    toast.classList.remove("is-shown");
    setText(toast, "");
  }, TOAST_MS);
}

function announce(text) {
  setText(byId("announcer"), text);
}

function alarm(text) {
  setText(byId("alarm"), text);
}

function showTheme() {
  const isDark = document.documentElement.dataset.theme === "dark";
  const button = byId("theme-button");
  button.replaceChildren(icon(isDark ? "sun" : "moon"));
  setAttribute(button, "aria-label", isDark ? "Use light colours" : "Use dark colours");
  setAttribute(button, "title", isDark ? "Use light colours" : "Use dark colours");
}

function onKey(event) {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "?") openHelp();
  const field = storeId === null ? document.querySelector(".filter:not([hidden])") : byId("search-field");
  if (event.key !== "/" || !field) return;
  event.preventDefault();
  field.focus();
  field.select();
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("search-field").value.trim();
  if (text !== "") go(recordLink(byId("search-kind").value, encodeId(text)));
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
byId("help-button").addEventListener("click", openHelp);
byId("help-button").append(icon("help"));
byId("help-button").lastElementChild.classList.add("help-icon");
byId("theme-button").addEventListener("click", () => window.holdfastTheme.toggle());
document.addEventListener("themechange", () => {
  showTheme();
  view?.restyle?.();
  redraw();
});
document.addEventListener("keydown", onKey);
document.addEventListener("visibilitychange", () => !document.hidden && (isDirty ? showNews() : tick()));
window.addEventListener("hashchange", route);

showTheme();
route();
setInterval(() => (isDirty ? showNews() : tick()), TICK_MS);
