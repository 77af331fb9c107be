// Everything that is said is seen whole, at every width: no sentence ends in the middle, none lies under an edge.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { overhang, picture } from "./read.js";
import { cutTexts } from "./whole.js";

const WIDTHS = [320, 390, 1440, 2560];
const LETTER = "x";
const LONG = LETTER.repeat(512);
const UNITS = 1_000_000_000_000_000;
const SOON_MS = 3 * 86_400_000;

let redis, reading, writing, browser;

/** A store with something in every panel; `id` is the name of all that can have one. */
async function fill(store, id, units) {
  const ask = (...command) => redis.ask(command[0], store, ...command.slice(1));
  await ask("STORE.SET", "closes", Date.now() + SOON_MS, "lease-ms", 3_600_000, "paused", "no", "sla-ms", 1);
  await ask("INV.SET", "mug", units, "LOW", units, "SAFETY", 10);
  await ask("INV.SET", id, 100, "LOW", 200, "LIMIT", units, "BACKLOG", units);
  await ask("INV.RESERVE", id, "CUSTOMER", id, "ITEMS", "mug", Math.min(100_000, units / 10));
  await ask("ORDER.PLACE", "in-lane", id, "LANE", "express", "ITEMS", "mug", 1);
  const gates = ["GATE", id, 0, "GATE", "payment", 3_600_000];
  await ask("ORDER.PLACE", id, id, "LANE", id, ...gates, "ITEMS", "mug", 1, id, 1);
  await ask("ORDER.PLACE", "waits", id, "WAIT", 7_200_000, "ITEMS", id, Math.min(1_000, units / 10), "mug", 1);
  for (let i = 0; i < 25; i += 1) {
    await ask("ORDER.PLACE", `dead-${i}`, "ann", "ITEMS", "mug", 1);
    await ask("ORDER.FAIL", `dead-${i}`, "REASON", i < 22 ? "the card was declined by the bank" : id, "FATAL");
  }
  const work = [
    [`${id.slice(1)}-`, id],
    ["of-w-2", "w-2"],
    ["of-idle", id.toUpperCase()],
  ];
  for (const [order, worker] of work) {
    await ask("ORDER.PLACE", order, "bob", "ITEMS", "mug", 1);
    await ask("ORDER.CLAIM", worker, "ORDER", order);
  }
  await ask("ORDER.COMPLETE", "of-idle", "RESULT", '{"note": "done"}');
}

before(async () => {
  redis = await Redis.start({ durable: false });
  await fill("popup", "blue-mug", 10_000);
  await fill(LONG, LONG, UNITS);
  await redis.ask("STORE.SET", "opens-later", "opens", Date.now() + SOON_MS, "closes", Date.now() + 2 * SOON_MS);
  await redis.ask("STORE.SET", "closed", "closes", Date.now() - 90_061_000, "paused", "yes", "metrics", 0);
  await redis.ask("INV.SET", "oversold", "mug", 1_234_567);
  await redis.ask("ORDER.PLACE", "oversold", "o-1", "ann", "ITEMS", "mug", 1_234_567);
  await redis.ask("INV.SET", "oversold", "mug", 1);
  reading = await Watch.start(redis);
  writing = await Watch.start(redis, { writes: true });
  browser = await Browser.start();
});

after(endAll);

for (const width of WIDTHS) {
  const screen = { width, height: 1_600, reducedMotion: "reduce" };
  const open = (watch, path) => browser.open(`${watch.origin}/#/${path}`, screen);
  /** What is cut on the pages of a test, each once, and where it is; all of it is said at the end. */
  let cut = new Map();
  const look = async (page, name) => {
    await picture(page, `whole-${name}-${width}`, { fullPage: true });
    const found = await page.evaluate(cutTexts, LETTER);
    if ((await overhang(page)) > 0) found.push("it scrolls sideways");
    for (const one of found) {
      const what = one.replace(/\d+/g, "#");
      if (!cut.has(what)) cut.set(what, name);
    }
  };
  const allIsWhole = () => {
    const found = [...cut];
    cut = new Map();
    assert.deepEqual(found, []);
  };

  test(`${width} px: all stores`, async () => {
    for (const view of ["table", "cards"]) {
      const page = await open(reading, `stores?view=${view}`);
      const one = page.locator({ table: ".store-row", cards: ".store-card" }[view]);
      await one.nth(4).waitFor();
      await until("a number", async () => /\d/.test(await one.filter({ hasText: "popup" }).textContent()));
      await look(page, `stores-${view}`);
      await page.context().close();
    }
    allIsWhole();
  });

  for (const [name, store] of [["short", "popup"], ["long", LONG]]) {
    test(`${width} px: every panel of a store, names are ${name}`, async () => {
      for (const [watch, mode] of [[reading, "reading"], [writing, "writing"]]) {
        const page = await open(watch, `stores/${store}`);
        for (const seen of [".alert-row", ".lanes tbody tr", ".wait-row", ".lease", ".idle-row", ".skus tbody tr"]) {
          await page.locator(seen).first().waitFor();
        }
        await page.locator(".counts summary").click();
        for (const summary of await page.locator(".dead-list summary").all()) await summary.click();
        for (const kind of ["Orders", "Carts", "SKUs", "Alerts"]) {
          await page.locator(".browse").getByRole("button", { name: kind, exact: true }).click();
          await page.locator(".browse-row").first().waitFor();
          await look(page, `${name}-${mode}-${kind}`);
        }
        await page.context().close();
      }
      allIsWhole();
    });

    test(`${width} px: every drawer and dialog, names are ${name}`, async () => {
      const page = await open(writing, `stores/${store}`);
      const id = name === "short" ? "blue-mug" : LONG;
      for (const [kind, record] of [
        ["order", id],
        ["order", "waits"],
        ["order", "dead-1"],
        ["order", "dead-24"],
        ["order", "of-idle"],
        ["sku", id],
        ["hold", id],
        ["customer", id],
        ["find", id],
        ["find", "nothing"],
        ["sku", "nothing"],
      ]) {
        await page.goto(`${writing.origin}/#/stores/${store}/${kind}/${record}`);
        const drawer = page.locator("dialog.drawer[open]");
        await drawer.locator(":is(.facts, .record-list li, .empty)").first().waitFor();
        await look(page, `${name}-${kind}-${record.slice(0, 8)}`);
        for (const button of await drawer.locator(".row-buttons button").all()) {
          await button.click();
          await page.locator("dialog.confirm").waitFor();
          await look(page, `${name}-${kind}-confirm`);
          await page.locator("dialog.confirm .plain-button").click();
          await page.locator("dialog.confirm").waitFor({ state: "detached" });
        }
        await page.keyboard.press("Escape");
        await drawer.waitFor({ state: "hidden" });
      }
      for (const button of ["Pause", "Redrive all"]) {
        await page.getByRole("button", { name: button }).first().click();
        await page.locator("dialog.confirm").waitFor();
        await look(page, `${name}-confirm-${button.slice(0, 5)}`);
        await page.locator("dialog.confirm .plain-button").click();
        await page.locator("dialog.confirm").waitFor({ state: "detached" });
      }
      await page.keyboard.press("?");
      await page.locator("dialog.help .terms").first().waitFor();
      await look(page, `${name}-help`);
      await page.context().close();
      allIsWhole();
    });
  }

  test(`${width} px: stores that have something to say`, async () => {
    const page = await open(reading, "stores/opens-later");
    for (const store of ["opens-later", "closed", "oversold", "nope"]) {
      await page.goto(`${reading.origin}/#/stores/${store}`);
      await page.locator("h1", { hasText: store }).waitFor();
      if (store !== "nope") await page.locator(".browse").waitFor();
      await look(page, store);
    }
    await page.context().close();
    allIsWhole();
  });
}

test("no complaint in the console", () => {
  assert.deepEqual(browser.complaints.filter((text) => !/404/.test(text)), []);
});
