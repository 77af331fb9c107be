// All records of a store: listed page by page, looked up by id, and what one may do to each.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { barriers, overhang, picture } from "./read.js";

const WIDTHS = [320, 390, 1440, 2560];
const LONG = "x".repeat(512);
const UNITS = 1_000_000_000_000_000;
/** Of a SKU that ran low, and of orders that died. */
const ALERTS = 120;

let redis, reading, writing, browser;

before(async () => {
  redis = await Redis.start({ durable: false });
  const ask = (store, command, ...rest) => redis.ask(command, store, ...rest);
  await ask("popup", "STORE.SET", "limit", 100, "lease-ms", 3_600_000);
  await ask("popup", "INV.SET", "mug", 100, "LOW", 5, "LIMIT", 40);
  for (let i = 1; i <= 55; i += 1) await ask("popup", "ORDER.PLACE", `o-${i}`, `c-${i % 5}`, "ITEMS", "mug", 1);
  await ask("popup", "ORDER.PLACE", "fast", "ann", "LANE", "express", "ITEMS", "mug", 2);
  await ask("popup", "ORDER.PLACE", "gated", "ann", "GATE", "payment", 0, "GATE", "fraud", 0, "ITEMS", "mug", 3);
  await ask("popup", "ORDER.PLACE", "ann", "bob", "ITEMS", "mug", 1);
  await ask("popup", "ORDER.FAIL", "o-1", "REASON", "card", "FATAL");
  await ask("popup", "INV.RESERVE", "cart-1", "CUSTOMER", "ann", "ITEMS", "mug", 4);
  await ask("popup", "ORDER.CLAIM", "w-busy", "ORDER", "o-2");
  await ask("popup", "ORDER.CLAIM", "w-idle", "ORDER", "o-3");
  await ask("popup", "ORDER.COMPLETE", "o-3");
  for (let i = 0; i < 120; i += 1) await ask("wide", "INV.SET", `sku-${i}`, 10);
  await ask("loud", "INV.SET", "mug", 1_000, "LOW", 2_000);
  for (let i = 0; i < ALERTS - 1; i += 1) {
    await ask("loud", "ORDER.PLACE", `o-${i}`, "ann", "ITEMS", "mug", 1);
    await ask("loud", "ORDER.FAIL", `o-${i}`, "FATAL");
  }
  await ask(LONG, "INV.SET", LONG, UNITS, "LOW", UNITS, "LIMIT", UNITS);
  await ask(LONG, "INV.SET", "mug", UNITS);
  await ask(LONG, "ORDER.PLACE", LONG, LONG, "LANE", LONG, "GATE", LONG, 0, "ITEMS", LONG, UNITS / 2, "mug", UNITS / 2);
  await ask(LONG, "ORDER.PLACE", "o-1", LONG, "ITEMS", LONG, 1);
  await ask(LONG, "INV.RESERVE", LONG, "CUSTOMER", LONG, "ITEMS", LONG, UNITS / 4);
  await ask(LONG, "ORDER.PLACE", "o-2", LONG, "ITEMS", "mug", 1);
  await ask(LONG, "ORDER.CLAIM", LONG, "ORDER", "o-2");
  await ask(LONG, "ORDER.COMPLETE", "o-2");
  reading = await Watch.start(redis);
  writing = await Watch.start(redis, { writes: true });
  browser = await Browser.start();
});

after(endAll);

const open = (watch, path, options) => browser.open(`${watch.origin}/#/store/${path}`, options);
const rows = (page) => page.locator(".browse-row");
const names = (page) => page.locator(".browse-row > .id").allTextContents();
const listed = (page, wanted) =>
  until(`the list to be ${wanted}`, async () => JSON.stringify(await names(page)) === JSON.stringify(wanted));
const agree = (page) => page.locator("dialog.confirm .main-button").click();

test("every order is listed, page by page, by state, lane and customer", async () => {
  const page = await open(reading, "popup");
  await page.locator(".browse").getByRole("button", { name: "Show", exact: true }).click();
  await until("a first page", async () => (await rows(page).count()) === 50);
  await page.locator(".browse").getByRole("button", { name: "Show more" }).click();
  await until("all", async () => (await rows(page).count()) === 58);
  await page.getByRole("button", { name: "Show more" }).waitFor({ state: "hidden" });
  await page.locator(".browse select").selectOption("claimed");
  await listed(page, ["o-2"]);
  await page.locator(".browse select").selectOption("");
  await page.getByRole("textbox", { name: "Lane" }).fill("express");
  await page.getByRole("textbox", { name: "Lane" }).press("Enter");
  await listed(page, ["fast"]);
  await page.getByRole("textbox", { name: "Lane" }).fill("");
  await page.getByRole("textbox", { name: "Customer", exact: true }).fill("ann");
  await page.getByRole("textbox", { name: "Customer", exact: true }).press("Enter");
  await listed(page, ["fast", "gated"]);
  await page.getByRole("textbox", { name: "Customer", exact: true }).fill("nobody");
  await page.getByRole("textbox", { name: "Customer", exact: true }).press("Enter");
  await page.getByText("Nothing of this kind.").waitFor();
  assert.equal(await page.locator(".browse .row-buttons, .store-head .small-button:visible").count(), 0, "read-only");
  await page.context().close();
});

test("a list that shows a part leads to all of it", async () => {
  const page = await open(reading, "wide");
  await page.getByRole("button", { name: "and 20 more: show all" }).click();
  await until("a page of SKUs", async () => (await rows(page).count()) === 50);
  for (const wanted of [100, 120]) {
    await page.getByRole("button", { name: "Show more" }).click();
    await until(`${wanted} SKUs`, async () => (await rows(page).count()) === wanted);
  }
  await page.goto(`${reading.origin}/#/store/popup`);
  await page.locator(".lanes").getByRole("button", { name: "express" }).click();
  await listed(page, ["fast"]);
  await page.context().close();
});

test("alerts lead on page by page, and each to its record", async () => {
  const page = await open(reading, "loud");
  const loud = (...command) => redis.ask(command[0], "loud", ...command.slice(1));
  const shown = page.locator(".alert-list .alert-row");
  const fail = async (order) => {
    await loud("ORDER.PLACE", order, "ann", "ITEMS", "mug", 1);
    await loud("ORDER.FAIL", order, "FATAL");
  };
  await until("what there is", async () => (await shown.count()) === 50);
  await page.getByText("The newest 50.").waitFor();
  await page.getByRole("button", { name: "Show all alerts" }).click();
  await until("a first page", async () => (await rows(page).count()) === 50);
  await fail("meanwhile");
  for (const wanted of [100, ALERTS]) {
    await page.getByRole("button", { name: "Show more" }).click();
    await until(`${wanted} alerts`, async () => (await rows(page).count()) === wanted);
  }
  await page.getByRole("button", { name: "Show more" }).waitFor({ state: "hidden" });
  const dead = Array.from({ length: ALERTS - 1 }, (_, at) => `o-${ALERTS - 2 - at}`);
  assert.deepEqual(await names(page), [...dead, "mug"], "newest first, none twice, none left out");
  await rows(page).last().getByRole("link", { name: "mug" }).click();
  await page.getByText("Limit a customer").waitFor();
  await page.keyboard.press("Escape");
  await shown.first().getByRole("link", { name: "meanwhile" }).click();
  await page.locator("dialog.drawer .timeline").waitFor();
  await page.keyboard.press("Escape");
  // An outsider's entry, of a time that no calendar has, is shown, and nothing else is lost.
  await redis.ask("XADD", "{loud}:alerts", "9007199254740993-1", "kind", "moon.full");
  await loud("ORDER.PLACE", "next-1", "ann", "ITEMS", "mug", 1);
  await until("the outsider's", async () => (await shown.first().textContent()) === "–moon.full");
  await redis.ask("DEL", "{loud}:alerts");
  await loud("ORDER.PLACE", "next-2", "ann", "ITEMS", "mug", 1);
  await page.getByText("No alerts: nothing ran out").waitFor();
  await page.locator(".browse").getByRole("button", { name: "Show", exact: true }).click();
  await page.getByText("Nothing of this kind.").waitFor();
  await page.context().close();
});

test("an id is looked up by its kind, and records lead to each other", async () => {
  const page = await open(reading, "popup");
  const find = async (kind, id) => {
    await page.locator("#search-kind").selectOption(kind);
    await page.locator("#search-field").fill(id);
    await page.locator("#search-field").press("Enter");
  };
  await find("find", "cart-1");
  await page.locator("dialog.record .facts").waitFor();
  assert.match(page.url(), /\/hold\/cart-1$/);
  await page.locator("dialog.record .facts").getByRole("link", { name: "ann" }).click();
  await page.getByText("9 units of 100 that a customer may have.").waitFor();
  assert.match(page.url(), /\/customer\/ann$/);
  await page.locator("dialog.record").getByRole("link", { name: "mug" }).first().click();
  await page.getByText("Limit a customer").waitFor();
  assert.deepEqual(await page.locator("dialog.record .record-list > li > .id").allTextContents(), ["cart-1"]);
  await page.keyboard.press("Escape");
  await until("the address of the store", () => page.url().endsWith("/popup"));
  await find("find", "ann");
  await page.locator("dialog.drawer .timeline").waitFor();
  await page.locator("dialog[open]").getByRole("link", { name: "bob" }).click();
  await page.getByText("1 unit of 100 that a customer may have.").waitFor();
  await page.keyboard.press("Escape");
  for (const kind of ["sku", "hold"]) {
    await page.goto(`${reading.origin}/#/store/popup/${kind}/nope`);
    await page.getByText("This store knows nothing of this kind with such an id.").waitFor();
  }
  await page.goto(`${reading.origin}/#/store/popup/find/nope`);
  await page.getByRole("link", { name: "Customer nope" }).click();
  await page.getByText("No order that is remembered.").waitFor();
  await page.context().close();
});

test("who goes on while a drawer closes stays where he went", async () => {
  const page = await open(reading, "popup/order/o-4");
  const drawer = page.locator("dialog.drawer[open]");
  for (const [address, seen] of [["hold/cart-1", "Cart"], ["sku/mug", "SKU"], ["order/o-5", "o-5"]]) {
    await drawer.locator(".facts").waitFor();
    // A busy browser tells of the closing when the address has changed, and before it tells of that.
    await page.evaluate((hash) => {
      const closing = document.querySelector("dialog.drawer[open]");
      closing.close();
      location.hash = hash;
      closing.dispatchEvent(new Event("close"));
    }, `#/store/popup/${address}`);
    await drawer.locator(".drawer-head", { hasText: seen }).waitFor();
    assert.equal(new URL(page.url()).hash, `#/store/popup/${address}`);
  }
  await page.keyboard.press("Escape");
  await until("the address of the store", () => new URL(page.url()).hash.endsWith("/popup"));
  await page.context().close();
});

test("who has no order is idle, since when", async () => {
  const page = await open(reading, "popup");
  await page.locator(".idle-row").first().waitFor();
  assert.deepEqual(await page.locator(".idle-row .id").allTextContents(), ["w-idle"]);
  assert.match(await page.locator(".idle-row .why").textContent(), /^no order for [\d.]+ (s|min)$/);
  await page.context().close();
});

test("an order is cancelled, a gate passed, a dead one redriven, the store paused: each asks first", async () => {
  const page = await open(writing, "popup", { expected: /409/ });
  const state = async (order) => (await redis.ask("ORDER.GET", "popup", order)).state;
  await page.getByRole("textbox", { name: "Customer", exact: true }).fill("ann");
  await page.getByRole("textbox", { name: "Customer", exact: true }).press("Enter");
  await page.getByRole("button", { name: "Pass gate payment of order gated" }).click();
  await page.locator("dialog.confirm .plain-button").click();
  assert.equal((await redis.ask("ORDER.GET", "popup", "gated")).gates[0].passed, 0, "nothing without a yes");
  for (const [gate, said] of [["payment", "has 1 gate to pass"], ["fraud", "is queued"]]) {
    await page.getByRole("button", { name: `Pass gate ${gate} of order gated` }).click();
    await agree(page);
    await page.locator("#toast", { hasText: said }).waitFor();
  }
  assert.equal(await state("gated"), "queued");
  await page.getByRole("button", { name: "Cancel order gated" }).click();
  await agree(page);
  await page.locator("#toast", { hasText: "Order gated is cancelled: 3 units put back." }).waitFor();
  assert.equal(await state("gated"), "cancelled");
  // The server says no, in its words.
  await redis.ask("ORDER.COMPLETE", "popup", "fast");
  await page.getByRole("button", { name: "Cancel order fast" }).click();
  await agree(page);
  await page.locator("#toast", { hasText: "BADSTATE order is completed" }).waitFor();
  await page.getByRole("textbox", { name: "Customer", exact: true }).fill("");
  await page.locator(".browse select").selectOption("dead");
  await page.locator(".browse").getByRole("button", { name: "Redrive order o-1" }).click();
  await agree(page);
  await page.locator("#toast", { hasText: "Order o-1 is queued again." }).waitFor();
  await page.locator(".store-head").getByRole("button", { name: "Pause" }).click();
  await agree(page);
  await page.locator("#toast", { hasText: "The store is paused" }).waitFor();
  assert.equal((await redis.ask("STORE.GET", "popup", "paused")).paused, "yes");
  await page.locator(".store-head").getByRole("button", { name: "Resume" }).click();
  await agree(page);
  await page.locator("#toast", { hasText: "The store is resumed" }).waitFor();
  await page.goto(`${writing.origin}/#/store/popup/order/o-5`);
  await page.locator("dialog.drawer[open]").getByRole("button", { name: "Cancel order o-5" }).click();
  await agree(page);
  await page.locator("dialog.drawer .chip", { hasText: "Cancelled" }).waitFor();
  await page.context().close();
});

/** What stands beyond the edge of its card, and what lies under something else in a row. */
function faults() {
  const found = [];
  const isSeen = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length > 0;
  const boxOf = (one) => one.getBoundingClientRect();
  for (const card of document.querySelectorAll(".browse, .idle, .store-head, .topbar, dialog[open]")) {
    const edge = boxOf(card);
    for (const one of card.querySelectorAll("*")) {
      if (!isSeen(one) || one.closest("svg, .visually-hidden, option")) continue;
      const { left, right, width } = boxOf(one);
      const isBeyond = width > 0 && (left < edge.left - 1 || right > edge.right + 1);
      if (isBeyond) found.push(`beyond: ${one.className || one.id || one.name || one.tagName} ${left} ${right}`);
    }
  }
  const ROWS = ".browse-row, .browse-form, .row-buttons, .idle-row, .search, .segments";
  for (const row of document.querySelectorAll(ROWS)) {
    const parts = [...row.children].filter(isSeen);
    parts.forEach((one, at) => {
      for (const other of parts.slice(at + 1)) {
        const [a, b] = [boxOf(one), boxOf(other)];
        const isOver = Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1;
        const isOn = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
        if (isOver && isOn && other.tagName !== "KBD") found.push(`${one.className} under ${other.className}`);
      }
    });
  }
  return found;
}

for (const width of WIDTHS) {
  // Colours are the same at every width.
  for (const scheme of width === WIDTHS[1] ? ["light", "dark"] : ["light"]) {
    test(`${width} px, ${scheme}: long ids and large numbers have room, and axe finds nothing`, async () => {
      const page = await open(writing, LONG, { width, scheme, bypassCSP: true });
      const look = async (name, options = {}) => {
        await picture(page, `records-${name}-${width}-${scheme}`, options);
        assert.deepEqual(await page.evaluate(faults), [], name);
        assert.ok((await overhang(page)) <= 0, `${name}: it scrolls sideways`);
        assert.deepEqual(await barriers(page), [], name);
      };
      for (const kind of ["Carts", "SKUs", "Orders"]) {
        await page.locator(".browse").getByRole("button", { name: kind, exact: true }).click();
        await rows(page).first().waitFor();
        if (kind === "Orders") await page.locator(".browse .row-buttons").first().waitFor();
        await page.locator(".browse").scrollIntoViewIfNeeded();
        await look(kind.toLowerCase(), { fullPage: true });
      }
      for (const kind of ["sku", "hold", "customer", "find", "order"]) {
        await page.goto(`${writing.origin}/#/store/${LONG}/${kind}/${LONG}`);
        await page.locator("dialog[open] :is(.facts, .record-list li)").first().waitFor();
        await look(kind);
        await page.keyboard.press("Escape");
        await page.locator("dialog[open]").waitFor({ state: "detached" }).catch(() => {});
      }
      await page.context().close();
    });
  }
}

test("no complaint in the console", () => {
  const unknown = /404/;
  assert.deepEqual(browser.complaints.filter((text) => !unknown.test(text)), []);
});
