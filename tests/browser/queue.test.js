// Lanes, gates and the waitlist: who waits for what is seen at a glance, at every width, in light and in dark.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { barriers, number, overhang, picture } from "./read.js";

const WIDTHS = [320, 390, 1440, 2560];
const LONG = "x".repeat(512);
const UNITS = 1_000_000_000_000_000;

let redis, watch, browser;

/** Orders in two lanes and in none, two that wait for a gate, two that wait for units; `id` is a name in all of it. */
async function fill(store, id, units) {
  const ask = (...command) => redis.ask(command[0], store, ...command.slice(1));
  await ask("INV.SET", "mug", units);
  await ask("INV.SET", id, 3, "BACKLOG", units);
  let queued = 0;
  for (const lane of ["express", "express", `${id}-lane`.slice(-512)]) {
    queued += 1;
    await ask("ORDER.PLACE", `o-1${queued}`, "ann", "LANE", lane, "ITEMS", "mug", 1);
  }
  await ask("ORDER.PLACE", "o-1", "ann", "ITEMS", "mug", 1);
  await ask("ORDER.PLACE", "soon", "ann", "GATE", "payment", 50_000, "ITEMS", "mug", 1);
  await ask("ORDER.PLACE", "later", "ann", "GATE", id, 3_600_000, "GATE", "fraud", 0, "ITEMS", "mug", 1);
  await ask("ORDER.PLACE", id, id, "WAIT", "ITEMS", id, units > 1_000 ? units / 2 : 5, "mug", 1);
  await ask("ORDER.PLACE", "w-2", "bob", "WAIT", 7_200_000, "ITEMS", id, 2);
  await ask("ORDER.PASS", "later", "fraud");
}

before(async () => {
  redis = await Redis.start({ durable: false });
  await fill("popup", "cap", 100);
  await fill(LONG, LONG, UNITS);
  await redis.ask("INV.SET", "calm", "mug", 7);
  await redis.ask("ORDER.PLACE", "calm", "o-1", "ann", "ITEMS", "mug", 1);
  watch = await Watch.start(redis);
  browser = await Browser.start();
});

after(endAll);

const open = (path, options) => browser.open(`${watch.origin}/#/${path}`, options);
const texts = (page, selector) => page.locator(selector).allTextContents();

test("the way of the orders says how many wait for what, and what expires next", async () => {
  const page = await open("store/popup");
  await page.locator(".wait-row").first().waitFor();
  const shown = {};
  for (const step of ["waitlisted", "pending", "queued", "in-work", "retrying"]) {
    shown[step] = await number(page, `[data-step="${step}"]`);
  }
  assert.deepEqual(shown, { waitlisted: 2, pending: 2, queued: 4, "in-work": 0, retrying: 0 });
  assert.equal(await number(page, '[data-field="processing"]'), 8);
  assert.match((await texts(page, ".flow-sub"))[0], /^next expires in (1:59:\d\d|2:00:00)$/);
  assert.deepEqual(await texts(page, ".flow-wanted:visible"), ["4 × cap"]);
  assert.match((await texts(page, ".flow-sub"))[1], /^next expires in 0:\d\d$/);
  assert.equal(await page.locator('.flow-sub[data-soon="yes"]').count(), 1, "the gate, and not the wait");
  await page.context().close();
});

test("lanes are listed, and a dash is explained", async () => {
  const page = await open("store/popup");
  const rows = page.locator(".lanes tbody tr");
  await rows.first().waitFor();
  assert.deepEqual(await texts(page, ".lanes tbody .id"), ["–no lane", "cap-lane", "express"]);
  assert.deepEqual((await rows.nth(2).locator("td").allTextContents()).slice(0, 3), ["2", "0", "0"]);
  await page.getByText("–: orders that name no lane").waitFor();
  await page.context().close();
});

test("who is not queued yet is listed, what expires first on top, and leads to the order", async () => {
  const page = await open("store/popup");
  await page.locator(".wait-row").first().waitFor();
  assert.deepEqual(await texts(page, ".wait-row > .id"), ["soon", "later", "w-2", "cap"]);
  assert.deepEqual(await texts(page, ".wait-what"), ["payment", "cap", "2 × cap", "2 × cap"]);
  assert.equal((await texts(page, ".wait-row .lease-left")).at(-1), "no end");
  await page.locator(".wait-row").nth(1).getByRole("link").click();
  await page.locator("dialog .gate").first().waitFor();
  const gates = await texts(page, "dialog .gate");
  assert.match(gates[0], /^capnot passed yet, expires at \d\d:\d\d:\d\d \(in \d+:\d\d\)$/);
  assert.equal(gates[1], "fraudpassed");
  await page.goto(`${watch.origin}/#/stores/popup/order/cap`);
  await page.locator("dialog .chip", { hasText: "Waitlisted" }).waitFor();
  const cells = page.locator("dialog table").first().locator("tbody tr").first().locator("td");
  assert.deepEqual(await cells.allTextContents(), ["5", "3", "2"]);
  await page.context().close();
});

test("what people wait for is on top of the SKUs, and of the stores", async () => {
  const page = await open("store/popup");
  await page.locator(".skus tbody tr").first().waitFor();
  const first = page.locator(".skus tbody tr").first();
  assert.equal(await first.locator('[data-column="waiting"]').textContent(), "4 of 100");
  assert.match(await first.textContent(), /^capout/);
  await page.goto(`${watch.origin}/#/stores`);
  await page.locator(".store-card").nth(2).waitFor();
  const cards = await texts(page, ".store-card");
  assert.match(cards[0], /^popup/);
  assert.match(cards[0], /2 waitlisted, 2 pending/);
  assert.match(cards[2], /^calm/);
  assert.ok(!cards[2].includes("waitlisted"));
  await page.context().close();
});

test("a store where nobody waits shows nothing of it", async () => {
  const page = await open("store/calm");
  await page.locator(".skus tbody tr").first().waitFor();
  for (const selector of [".flow", ".lanes", ".wait-list", '.skus [data-column="waiting"]']) {
    assert.equal(await page.locator(selector).first().isVisible(), false, selector);
  }
  assert.equal(await page.locator(".legend-key", { hasText: "Waitlisted" }).isVisible(), false);
  await page.context().close();
});

test("an order that gets its units leaves the list by itself", async () => {
  const page = await open("store/popup");
  await page.locator(".wait-row").nth(3).waitFor();
  await redis.ask("INV.ADJUST", "popup", "cap", 2);
  await until("the first in line is queued", async () => (await number(page, '[data-step="waitlisted"]')) === 1);
  await until("the list to follow", async () => !(await texts(page, ".wait-row > .id")).includes("cap"));
  await page.context().close();
});

/** Numbers that break or are cut off, and what stands beyond the edge of its card. */
function faults() {
  const found = [];
  const say = (one, what) => found.push(`${what}: ${one.className} “${one.textContent.slice(0, 40)}”`);
  const isSeen = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length > 0;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)].filter(isSeen);
  for (const one of all(".value, .mini-value, .card-number, td.number")) {
    const isCut = one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline";
    if (isCut) say(one, "a number is cut");
    const range = document.createRange();
    range.selectNodeContents(one);
    if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1) say(one, "a number breaks");
  }
  for (const card of all(".card, dialog")) {
    const { left, right } = card.getBoundingClientRect();
    for (const one of all("*", card)) {
      if (one.closest(".scroll, .plot-frame, pre, .visually-hidden, svg, .bar-track")) continue;
      const clipped = one.parentElement.closest(".id, h1, h2");
      const box = one.getBoundingClientRect();
      if (!clipped && box.width > 0 && (box.left < left - 1 || box.right > right + 1)) say(one, "beyond the edge");
    }
  }
  return found;
}

for (const width of WIDTHS) {
  for (const scheme of ["light", "dark"]) {
    test(`${width} px, ${scheme}: long ids and large numbers break nothing, and axe finds nothing`, async () => {
      const options = { width, height: 900, scheme, bypassCSP: true, reducedMotion: "reduce" };
      for (const [name, store] of [["short", "popup"], ["long", LONG]]) {
        const page = await open(`store/${store}`, options);
        await page.locator(".wait-row").first().waitFor();
        await picture(page, `queue-${name}-${width}-${scheme}`, { fullPage: true });
        assert.deepEqual(await page.evaluate(faults), [], name);
        assert.ok((await overhang(page)) <= 0, "it scrolls sideways");
        assert.deepEqual(await barriers(page), [], name);
        await page.goto(`${watch.origin}/#/stores/${store}/order/later`);
        await page.locator("dialog .gate").first().waitFor();
        await picture(page, `queue-order-${name}-${width}-${scheme}`);
        assert.deepEqual(await page.evaluate(faults), [], `an order of ${name}`);
        assert.deepEqual(await barriers(page), [], `an order of ${name}`);
        await page.context().close();
      }
      const page = await open("stores", options);
      await page.locator(".store-card").nth(2).waitFor();
      await picture(page, `queue-stores-${width}-${scheme}`, { fullPage: true });
      assert.deepEqual(await page.evaluate(faults), [], "stores");
      assert.deepEqual(await barriers(page), [], "stores");
      await page.context().close();
    });
  }
}

test("no complaint in the console", () => {
  assert.deepEqual(browser.complaints, []);
});
