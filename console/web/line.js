// How fresh the page is, in words that are always in sight.

import { setText, show } from "./dom.js";
import { age, moment } from "./format.js";

/** A store that changes is sampled once a second: after this time without a sample it is quiet. */
const QUIET_MS = 2_500;

const byId = (id) => document.getElementById(id);

/**
 * Shows the state of the line. `feed` is the line, `server` what holdfast says of Redis (null: nothing yet), `at` the
 * time of the newest sample on the page (null: none). Replies whether what is shown is up to date.
 */
export function showLine({ feed, server, at }) {
  const now = feed.now();
  const isAway = server !== null && !server.connected;
  const state =
    feed.state === "live" && isAway ? "away" : feed.state === "live" && isQuiet(at, now) ? "quiet" : feed.state;
  document.body.dataset.line = state;
  const asOf = at === null ? "" : ` What you see is from ${moment(at, now)}.`;
  const awaySince = server?.since ?? now;
  const gone = (server?.nodes ?? []).filter((node) => !node.connected).map((node) => node.name);
  const partly = gone.length > 0 ? `Away: ${gone.join(", ")}. What you see of their stores is old.` : null;
  const texts = {
    connecting: ["connecting…", null],
    live: [at === null ? "live" : `live · ${age(now - at)} ago`, partly],
    quiet: [at === null ? "live · nothing yet" : `quiet · nothing changed for ${age(now - at)}`, partly],
    lost: [
      `lost · ${age(now - feed.lostSince)}`,
      `Connection to holdfast lost at ${moment(feed.lostSince ?? now, now)}, retrying…${asOf}`,
    ],
    away: [
      `${productName(server)} is away`,
      `${productName(server)} is away since ${moment(awaySince, now)} (${age(now - awaySince)})` +
        `${server?.error ? `: ${server.error}` : ""}. holdfast keeps trying.${asOf}`,
    ],
  };
  const [text, banner] = texts[state];
  setText(byId("line-text"), text);
  show(byId("banner"), banner !== null);
  if (banner !== null) setText(byId("banner-text"), banner);
  return state === "live" || state === "quiet";
}

function isQuiet(at, now) {
  return at === null || now - at > QUIET_MS;
}

/** What the server behind holdfast is called. */
export function productName(server) {
  return server?.product === "valkey" ? "Valkey" : "Redis";
}

/** What is said aloud when the line is lost, when the server is away, and when both are back. */
export function lineWords(change, server) {
  if (change === "back") return "Connected again.";
  return change === "away" ? `${productName(server)} is away.` : "Connection to holdfast lost. Trying again.";
}
