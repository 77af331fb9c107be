// All stores: as cards or as a table, sorted, filtered, by the keyboard; and the addresses of stores.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { picture } from "./read.js";

const STORES = 40;

let redis, watch, browser;

before(async () => {
  redis = await Redis.start({ durable: false });
  for (let i = 1; i <= STORES; i += 1) await redis.ask("INV.SET", `shop-${i}`, "mug", 100 * i);
  await redis.ask("ORDER.PLACE", "shop-7", "o-1", "ann", "ITEMS", "mug", 1);
  await redis.ask("ORDER.FAIL", "shop-7", "o-1", "REASON", "card declined", "FATAL");
  await redis.ask("INV.RESERVE", "shop-9", "cart", "ITEMS", "mug", 90);
  await redis.ask("INV.SET", "shop-9", "mug", 80);
  watch = await Watch.start(redis);
  browser = await Browser.start();
});

after(endAll);

const names = (page) => page.locator(".store-row a").allTextContents();
const firstIs = (page, name) => until(`${name} on top`, async () => (await names(page))[0] === name);
const head = (page, column) => page.locator(`.store-table thead [data-column="${column}"]`);

test("many stores are a table, what must not be on top", async () => {
  const page = await browser.open(`${watch.origin}/#/stores`);
  await firstIs(page, "shop-9");
  assert.deepEqual((await names(page)).slice(0, 3), ["shop-9", "shop-7", "shop-1"]);
  assert.match(await page.locator(".store-row").first().textContent(), /Oversold/);
  assert.equal(await head(page, "state").getAttribute("aria-sort"), "descending");
  await picture(page, "stores-table");
  // One change, right after the list was sorted, and then nothing any more.
  await redis.ask("INV.RESERVE", "shop-30", "cart", "ITEMS", "mug", 3_000);
  await redis.ask("INV.SET", "shop-30", "mug", 1_000);
  await until("its place near the top", async () => (await names(page)).slice(0, 2).join() === "shop-9,shop-30");
  await redis.ask("INV.RELEASE", "shop-30", "cart");
  await until("its place of before", async () => (await names(page))[1] === "shop-7");
  await page.context().close();
});

test("it is sorted by any column, either way, and stays so in the address and the next time", async () => {
  const page = await browser.open(`${watch.origin}/#/stores`);
  await firstIs(page, "shop-9");
  await page.getByRole("button", { name: "Available" }).click();
  await firstIs(page, `shop-${STORES}`);
  assert.equal(await head(page, "available").getAttribute("aria-sort"), "descending");
  assert.equal(await head(page, "state").getAttribute("aria-sort"), null);
  await page.getByRole("button", { name: "Available" }).click();
  await firstIs(page, "shop-9");
  assert.equal(await head(page, "available").getAttribute("aria-sort"), "ascending");
  assert.match(page.url(), /sort=available/);
  await page.goto("about:blank");
  await page.goto(`${watch.origin}/#/stores`);
  await firstIs(page, "shop-9");
  assert.equal(await head(page, "available").getAttribute("aria-sort"), "ascending");
  await page.getByRole("button", { name: "Store" }).click();
  await firstIs(page, "shop-1");
  assert.deepEqual((await names(page)).slice(0, 3), ["shop-1", "shop-2", "shop-3"], "numbers as numbers");
  await page.context().close();
});

test("it is filtered by name and by state, and an address brings the same again", async () => {
  const page = await browser.open(`${watch.origin}/#/stores`);
  await firstIs(page, "shop-9");
  await page.keyboard.press("/");
  await page.keyboard.type("oversold");
  await until("one store", async () => (await names(page)).join() === "shop-9");
  assert.match(page.url(), /find=oversold/);
  await page.locator(".filter").fill("SHOP-1");
  await until("eleven stores", async () => (await names(page)).length === 11);
  const again = await browser.open(page.url());
  await until("the same", async () => (await names(again)).length === 11);
  assert.equal(await again.locator(".filter").inputValue(), "SHOP-1");
  await again.locator(".filter").fill("nobody");
  await again.getByText("No store has such a name.").waitFor();
  await page.context().close();
  await again.context().close();
});

test("the keyboard goes through all of it", async () => {
  const page = await browser.open(`${watch.origin}/#/stores?view=table&sort=name`);
  await firstIs(page, "shop-1");
  await page.locator(".store-row a").first().focus();
  const here = () => page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("ArrowDown");
  assert.equal(await here(), "shop-2");
  await page.keyboard.press("End");
  assert.equal(await here(), `shop-${STORES}`, "one that was not in the page");
  const box = await page.locator(".store-row a:focus").boundingBox();
  assert.ok(box.y > 56 && box.y + box.height < 900, `at ${box.y} px`);
  await page.keyboard.press("Home");
  assert.equal(await here(), "shop-1");
  await page.keyboard.press("Enter");
  await page.locator("h1", { hasText: "shop-1" }).waitFor();
  assert.equal(new URL(page.url()).hash, "#/stores/shop-1");
  await until("the store's name to have the focus", async () => (await here()) === "shop-1");
  await page.locator("#crumb-stores").click();
  await firstIs(page, "shop-1");
  await until("the head of the stores to have it", async () => (await here()) === "Stores");
  await page.context().close();
});

test("cards and table take each other's place", async () => {
  const page = await browser.open(`${watch.origin}/#/stores`);
  await firstIs(page, "shop-9");
  await page.getByRole("button", { name: "Cards" }).click();
  await page.locator(".store-card").first().waitFor();
  assert.equal(await page.locator(".store-row").count(), 0);
  assert.equal(await page.locator(".store-card h2").first().textContent(), "shop-9");
  assert.match(page.url(), /view=cards/);
  await page.locator(".store-card a").first().focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "shop-7");
  await picture(page, "stores-cards");
  await page.context().close();
});

test("on paper are the stores that are not in sight too, up to a bound", async () => {
  const page = await browser.open(`${watch.origin}/#/stores?view=table&sort=name`, { height: 400 });
  await firstIs(page, "shop-1");
  const inSight = (await names(page)).length;
  assert.ok(inSight < STORES, `${inSight} lines are in the page`);
  // What a printer gets: the page as it is between these two events.
  await page.evaluate(() => {
    window.printed = null;
    const lines = () => document.querySelectorAll(".store-row").length;
    window.addEventListener("afterprint", () => (window.printed ??= lines()));
    matchMedia("print").addEventListener("change", ({ matches }) => matches && (window.printed = lines()));
  });
  await page.pdf();
  assert.equal(await page.evaluate(() => window.printed), STORES);
  await until("only those in sight", async () => (await names(page)).length === inSight);
  for (const view of ["Table", "Cards"]) {
    await page.getByRole("button", { name: view }).click();
    await page.emulateMedia({ media: "print" });
    const shown = page.locator(view === "Cards" ? ".store-card" : ".store-row");
    await until("all", async () => (await shown.count()) === STORES);
    assert.equal(await page.getByText("not printed").count(), 0);
    await page.emulateMedia({ media: "screen" });
    await until("those in sight", async () => (await shown.count()) < STORES);
  }
  const each = (command) => `for i = 1, 1000 do redis.call(${command}) end return 1`;
  await redis.ask("EVAL", each("'INV.SET', 'many-' .. i, 'mug', 1"), 0);
  await page.getByRole("button", { name: "Table" }).click();
  await page.getByText("1,040 stores").waitFor();
  await page.emulateMedia({ media: "print" });
  await page.getByText("40 stores more, not printed.").waitFor();
  assert.equal(await page.locator(".store-row").count(), 1_000);
  await redis.ask("EVAL", each("'STORE.DROP', 'many-' .. i"), 0);
  await page.getByText("40 stores · ").waitFor();
  await page.context().close();
});

test("a store's name is its address; a name that nobody has is told, until somebody has it", async () => {
  const page = await browser.open(`${watch.origin}/#/stores/shop-3`);
  await page.locator("h1", { hasText: "shop-3" }).waitFor();
  const gone = await browser.open(`${watch.origin}/#/stores/none%2Fsuch`);
  await gone.locator(".gone-title", { hasText: "There is no store “none/such”" }).waitFor();
  await redis.ask("INV.SET", "none/such", "mug", 5);
  await gone.locator("h1", { hasText: "none/such" }).waitFor();
  await redis.ask("STORE.DROP", "none/such");
  await page.context().close();
  await gone.context().close();
});

test("a name that only another database has opens it; one that several have asks which", async () => {
  const inDb = async (db, ...command) => redis.ask("-n", db, ...command);
  await inDb(3, "INV.SET", "far", "mug", 5);
  await inDb(3, "INV.SET", "twice", "mug", 5);
  await inDb(4, "INV.SET", "twice", "mug", 6);
  const has = async (name) => (await (await fetch(`${watch.origin}/api/stores`)).text()).includes(name);
  await until("the stores of other databases", async () => (await has('"4:twice"')) && (await has('"3:far"')));
  const page = await browser.open(`${watch.origin}/#/stores/far`);
  await page.locator("h1", { hasText: "far (database 3)" }).waitFor();
  assert.equal(new URL(page.url()).hash, "#/stores/3:far");
  await page.goto(`${watch.origin}/#/stores/twice`);
  await page.locator(".gone-title", { hasText: "There are several stores “twice”" }).waitFor();
  await page.getByRole("link", { name: "twice (database 4)" }).click();
  await page.locator("h1", { hasText: "twice (database 4)" }).waitFor();
  await page.context().close();
});

test("to look at what is not there changes nothing: no refusal is counted, no sample is made", async () => {
  const state = async () => [
    await redis.ask("STORE.INFO", "shop-5"),
    await redis.ask("XRANGE", "{shop-5}:metrics", "-", "+"),
    await redis.ask("STORE.GET", "shop-5"),
  ];
  const page = await browser.open(`${watch.origin}/#/stores/shop-5`, { expected: /status of 404/ });
  await page.locator("h1", { hasText: "shop-5" }).waitFor();
  const before = await state();
  await page.goto(`${watch.origin}/#/stores/shop-5/order/never-placed`);
  await page.getByText("This store knows no such order.").waitFor();
  await fetch(`${watch.origin}/api/stores/shop-5/orders/nobody`);
  // Whatever a look changed would be in a sample by then: another store's is made a second after its order.
  await redis.ask("ORDER.PLACE", "shop-6", "o-1", "ann", "ITEMS", "mug", 1);
  const samples = async () => redis.ask("XLEN", "{shop-6}:metrics");
  const first = await samples();
  await redis.ask("ORDER.PLACE", "shop-6", "o-2", "ann", "ITEMS", "mug", 1);
  await until("a sample of another store", async () => (await samples()) > first);
  assert.deepEqual(await state(), before);
  await page.context().close();
});

test("no complaint in the console", () => {
  assert.deepEqual(browser.complaints, []);
});
