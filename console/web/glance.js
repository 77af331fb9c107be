// What is said of a store among others: its numbers, and its state in words, the most urgent thing of it first.

import { count, fitted } from "./format.js";
import { phase } from "./window.js";
import { isSoldOut, processingIn, refusedIn } from "./words.js";

const NODE_AWAY = "The node is away: these numbers are what it last said";
const OVERSOLD = "units are promised that are not there";

/**
 * The state of a store at a time (Unix ms): `text` in two words, `tone`, `urgency` (what must not be is highest), and
 * `alarm`, a sentence, where something must not be.
 */
export function stateOf(store, now) {
  const { metrics } = store;
  const said = (urgency, text, tone, alarm = null) => ({ urgency, text, tone, alarm });
  const oversold = metrics?.oversold ?? 0;
  if (store.away) return said(6, "Node away", "refused", NODE_AWAY);
  if (oversold > 0) return said(5, "Oversold", "refused", `Oversold by ${count(oversold)}: ${OVERSOLD}`);
  if (metrics?.waitlisted > 0) return said(4, `${fitted(metrics.waitlisted)} waitlisted`, "overflow");
  const dead = metrics?.["dead-letters"] ?? 0;
  if (dead > 0) return said(3, `${fitted(dead)} dead`, "refused");
  if (store.paused) return said(2, "Paused", "queued");
  const current = phase(store, now);
  if (isSoldOut(metrics) && current.kind !== "before") return said(1, "Sold out", null);
  return said(0, current.label, current.tone);
}

/** The numbers of a store by the names of `columns` in table.js; `NaN` where they are not known. */
export function numbersOf(store, series, now, isFresh) {
  const { metrics } = store;
  if (!metrics) return {};
  const waited = metrics["oldest-waiting-ms"];
  return {
    ...metrics,
    processing: processingIn(metrics),
    refused: refusedIn(metrics),
    rate: isFresh ? series.rate("placed", now) : NaN,
    "oldest-waiting-ms": waited > 0 ? waited + (isFresh ? Math.max(0, now - store.at) : 0) : 0,
  };
}
