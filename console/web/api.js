// Questions to the server that are asked once: a record, a page of them, a write.

/** A question is given up after this time without an answer. */
const TIMEOUT_MS = 10_000;
/** A redrive goes through all that died. */
const REDRIVE_TIMEOUT_MS = 60_000;

/** Why a question was not answered: a text for people, and the HTTP status (0: no connection). */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Reads `/api/<path>`. Ids in the path are percent-encoded already. */
export function get(path) {
  return ask(path, { headers: { Accept: "application/json" } });
}

/** Does something to a store: `cancel`, `pass`, `pause`, `redrive`, with what it is done to. Replies what came back. */
export function act(storeId, what, body) {
  const headers = { "Content-Type": "application/json", "X-Holdfast": "1" };
  const timeoutMs = what === "redrive" ? REDRIVE_TIMEOUT_MS : TIMEOUT_MS;
  return ask(`stores/${storeId}/${what}`, { method: "POST", headers, body: JSON.stringify(body) }, timeoutMs);
}

async function ask(path, options, timeoutMs = TIMEOUT_MS) {
  let response;
  try {
    response = await fetch(`api/${path}`, { ...options, cache: "no-store", signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    throw new ApiError(
      error.name === "TimeoutError" ? "holdfast did not answer in time" : "holdfast cannot be reached",
      0,
    );
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(body.error ?? `holdfast answered ${response.status}`, response.status);
  return body;
}

/** The form of an id that the server uses in URLs. */
export function encodeId(text) {
  return encodeURIComponent(text);
}

/** An id out of the address bar, in the form the server uses, whatever the browser made of it. */
export function canonicalId(raw) {
  try {
    return encodeURIComponent(decodeURIComponent(raw));
  } catch {
    return raw; // bytes that are no UTF-8: as the server wrote them
  }
}

/** The same of a store, which may have its database in front: `3:popup`. */
export function canonicalStore(raw) {
  const [, database, key] = raw.match(/^([1-9]\d*:)?(.*)$/s);
  return `${database ?? ""}${canonicalId(key)}`;
}

/** An id as people read it. */
export function shownId(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

/** The address of a store's page, and of a record (`order`, `sku`, `hold` …) there. */
export function addressOf(store, kind = null, id = null) {
  return kind === null ? `#/stores/${store}` : `#/stores/${store}/${kind}/${id}`;
}

/** The key of a store without its database: of `3:popup` it is `popup`. A colon within a key is percent-encoded. */
export function keyOf(id) {
  return id.replace(/^\d+:/, "");
}
