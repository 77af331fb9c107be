// What every number, code and event is called, and what it means, in plain words.

/** Refusal codes: field of the metrics, code, what it says to the customer, and what lies behind it. */
export const REFUSALS = [
  ["refused-outofstock", "OUTOFSTOCK", "Not enough units left", "more was wanted than is available"],
  ["refused-limit", "LIMIT", "Customer's limit reached", "one customer may have only so many units"],
  ["refused-notopen", "NOTOPEN", "Too early", "the sale has not opened yet"],
  ["refused-closed", "CLOSED", "Too late", "the sale has closed"],
  ["refused-expired", "EXPIRED", "Cart ran out", "the cart's time was over before it was ordered"],
  [
    "refused-badstate",
    "BADSTATE",
    "Not possible any more",
    "the order or cart is past the point where this can be done",
  ],
  ["refused-mismatch", "MISMATCH", "Same id, other content", "a repeated call differs from the first"],
  ["refused-fenced", "FENCED", "Worker came too late", "its lease had passed on to another worker"],
  ["refused-gap", "GAP", "Feed skipped ahead", "a number is missing in an outside system's stock feed"],
  ["refused-nosku", "NOSKU", "Unknown product", "the store has no such SKU"],
  ["refused-nohold", "NOHOLD", "Unknown cart", "the store has no such hold, or has forgotten it"],
  ["refused-noorder", "NOORDER", "Unknown order", "the store has no such order, or has forgotten it"],
  ["refused-err", "ERR", "Call not understood", "an argument is missing or makes no sense"],
].map(([field, code, says, why]) => ({ field, code, says, why }));

/** All other fields of a sample, in groups: field, label, meaning. */
export const GROUPS = [
  [
    "Stock",
    [
      ["skus", "SKUs", "products the store knows (stock-keeping units)"],
      ["on-hand", "On hand", "units in the building"],
      ["held", "Held", "units set aside for carts and open orders"],
      ["available", "Available", "units that can be sold right now"],
      ["sold", "Sold", "units that have left, less those returned"],
      ["oversold", "Oversold", "units promised beyond what is on hand; must stay 0"],
      ["units-sold", "Units shipped", "units that left with orders, returns not taken off"],
      ["returned", "Units returned", "units customers sent back"],
    ],
  ],
  [
    "Customers",
    [
      ["customers", "Customers", "people with units in a cart or an order"],
      ["holds", "Carts open", "holds that are alive: units set aside until a deadline"],
      ["expired", "Carts expired", "holds whose time ran out; their units went back on sale"],
      ["overflow", "Overflow", "orders asked for, less those completed"],
    ],
  ],
  [
    "Orders",
    [
      ["placed", "Placed", "orders taken since the store was made"],
      ["queued", "Queued", "orders that wait for a worker"],
      ["in-work", "In work", "orders in a worker's hands"],
      ["retrying", "Retrying", "orders whose attempt failed and that wait for the next"],
      ["completed", "Completed", "orders fulfilled"],
      ["cancelled", "Cancelled", "orders called off"],
      ["late", "Late", "orders that took longer than the store promises (sla-ms)"],
      ["oldest-ms", "Oldest waiting", "how long ago the order that is next was placed"],
    ],
  ],
  [
    "Work",
    [
      ["workers", "Workers", "workers with orders in their hands"],
      ["claimed", "Claimed", "times an order was handed to a worker"],
      ["failed", "Failed attempts", "attempts that a worker reported as failed"],
      ["lapsed", "Leases ended", "orders taken back from workers that died or hung"],
      ["retried", "Retried", "failed orders handed out again"],
      ["dead", "Died", "orders that ran out of attempts, ever"],
      ["dead-letters", "Dead letters", "dead orders that somebody must look at now"],
      ["redriven", "Redriven", "dead orders queued anew"],
    ],
  ],
  [
    "Latency",
    [
      ["p50-ms", "Half within", "of the orders just completed, half took no longer (p50)"],
      ["p99-ms", "99 % within", "of the orders just completed, 99 % took no longer (p99)"],
      ["max-ms", "Longest", "the longest of the orders just completed"],
    ],
  ],
];

/** The names of all fields of a sample. */
export const FIELDS = [
  ...GROUPS.flatMap(([, fields]) => fields.map(([field]) => field)),
  ...REFUSALS.map(({ field }) => field),
];

/** States of an order: label, tone, what it means. */
export const STATES = {
  queued: { label: "Queued", tone: "queued", means: "waits for a worker" },
  claimed: { label: "In work", tone: "work", means: "in a worker's hands" },
  retrying: { label: "Retrying", tone: "retry", means: "an attempt failed; the next one is due soon" },
  completed: { label: "Completed", tone: "completed", means: "fulfilled" },
  cancelled: { label: "Cancelled", tone: "muted", means: "called off; its units went back on sale" },
  dead: { label: "Dead", tone: "refused", means: "out of attempts; its units went back on sale" },
};

/** What happened to an order: title, tone and, where there is more to say, what. */
export const EVENTS = {
  placed: () => ["Placed", "placed", "checked, units taken, queued"],
  forgotten: (e) =>
    e.returns
      ? [`${e.returns} returns left out`, "muted", `${e.units} units came back with them; only the last 100 are kept`]
      : [`${e.events} events left out`, "muted", "only the last 100 are kept"],
  claimed: (e) => [`Claimed by ${e.worker}`, "work", `attempt ${e.attempt}`],
  failed: (e) => ["Attempt failed", "retry", e.reason ? `attempt ${e.attempt}: ${e.reason}` : `attempt ${e.attempt}`],
  "lease-ended": (e) => ["Lease ended", "retry", `the worker did not finish attempt ${e.attempt} in time; taken back`],
  yielded: () => ["Given back", "muted", "the worker shut down; not counted as an attempt"],
  dead: (e) => ["Died", "refused", e.reason || "out of attempts"],
  redriven: () => ["Redriven", "placed", "took its units again and queued anew"],
  step: (e) => [`Step: ${e.step}`, "work", "a step of fulfilment"],
  completed: () => ["Completed", "completed", "its units left the building"],
  cancelled: () => ["Cancelled", "muted", "its units went back on sale"],
  returned: (e) => {
    const back = e.units === 1 ? "one unit came back" : "units came back";
    const off = e.units === 1 ? "was written off" : "were written off";
    return [`${e.units} returned`, "muted", e.scrap ? `${back} and ${off}` : back];
  },
};

/** The sum of the refusals in a sample. */
export function refusedIn(metrics) {
  return REFUSALS.reduce((sum, { field }) => sum + (metrics[field] ?? 0), 0);
}
