// Building and changing the page. What comes from the server is put in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. Properties: `class`, `text`, `on…` (a listener), `data` (an object), `style` (an object of CSS
 * properties); all others are attributes, left out when null, undefined or false.
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.setAttribute("class", value);
    else if (name === "text") element.textContent = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") setStyle(element, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets CSS properties through the DOM: the page's policy allows no style attributes. */
export function setStyle(element, properties) {
  for (const [name, value] of Object.entries(properties)) element.style.setProperty(name, value);
}

/** Sets a text, and touches nothing when it is there already: screen readers and selections stay where they are. */
export function setText(element, text) {
  const wanted = String(text);
  const node = element.firstChild;
  // A text that changes within its node costs the browser less than another node in its place.
  if (node === null || node !== element.lastChild || node.nodeType !== Node.TEXT_NODE) {
    if (element.textContent !== wanted) element.textContent = wanted;
  } else if (node.data !== wanted) {
    node.data = wanted;
  }
}

/** Sets a number, and how many characters it has: styles make a long one smaller rather than break it. */
export function setNumber(element, text) {
  setText(element, text);
  setProperty(element, "--chars", String(text).length);
}

/** Sets a name that may be cut off where there is no room; the whole of it is in the tooltip. */
export function setName(element, name) {
  setText(element, name);
  setAttribute(element, "title", name === "" ? null : name);
}

/** Sets or removes an attribute. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Sets the length of a bar: a part of its track, 0 to 1. It is scaled: no other element moves, none is laid out. */
export function setBar(bar, part) {
  setProperty(bar, "transform", `scaleX(${shareOf(part).toFixed(4)})`);
}

/** Sets how much of a row an element takes, 0 to 1. */
export function setShare(element, part) {
  setProperty(element, "width", `${(shareOf(part) * 100).toFixed(2)}%`);
}

function shareOf(part) {
  return Math.min(1, Math.max(0, part || 0));
}

/** Sets a CSS property, and touches nothing when it is so already. */
function setProperty(element, name, value) {
  element.styled ??= {};
  if (element.styled[name] === value) return;
  element.styled[name] = value;
  element.style.setProperty(name, value);
}

/** A box that scrolls when there is too much for it; and by keys, as long as it does. */
export function scrollBox(label, content) {
  const box = h("div", { class: "scroll", role: "region", "aria-label": label }, content);
  fitBox(box, content);
  return box;
}

/**
 * Lets the keyboard into a box as long as its content is more than it shows. Looks when a size has changed, after the
 * layout that changed it: to look after each text would take a layout each time.
 */
function fitBox(box, content) {
  const observer = new ResizeObserver(() => {
    const isOver = box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1;
    setAttribute(box, "tabindex", isOver ? "0" : null);
  });
  observer.observe(box);
  observer.observe(content);
}

/** A button that reads as a link: it leads to another part of the page. */
export function lead(text, onclick) {
  return h("button", { class: "link-button", type: "button", text, onclick });
}

/** Shows or hides. */
export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/**
 * Brings the children of a container in line with a list: those with a known key are kept and updated, so that focus
 * and what is unfolded stay. `make(item)` gives an element, `update(element, item)` fills it.
 */
export function keyed(container, items, keyOf, make, update) {
  const known = container.keyedChildren ?? new Map();
  const wanted = new Map(items.map((item) => [keyOf(item), item]));
  // First, so that those that stay need not be moved: an element that is moved loses the focus.
  for (const [key, element] of known) if (!wanted.has(key)) element.remove();
  let place = container.firstElementChild;
  for (const [key, item] of wanted) {
    const element = known.get(key) ?? make(item);
    wanted.set(key, element);
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else container.insertBefore(element, place);
  }
  container.keyedChildren = wanted;
}

/** Drawings, 16 units square, drawn with strokes in the colour of the text. */
const ICONS = {
  search: ["M7 12.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11Z", "m11 11 3.5 3.5"],
  help: [
    "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Z",
    "M6.2 6.2a1.8 1.8 0 1 1 2.5 1.7c-.5.2-.7.6-.7 1.1",
    "M8 11.4v.1",
  ],
  moon: ["M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3Z"],
  sun: [
    "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
    "M8 1v1.4M8 13.6V15M1 8h1.4M13.6 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  ],
  check: ["m3 8.5 3.2 3.2L13 5"],
  alarm: ["M8 1.8 15 14H1L8 1.8Z", "M8 6.5v3.2", "M8 11.8v.1"],
  close: ["m3.5 3.5 9 9", "m12.5 3.5-9 9"],
  redrive: ["M2.5 8a5.5 5.5 0 1 0 1.7-4", "M4 1.2V4.3h3.1"],
  table: ["M2 3h12v10H2z", "M2 6.5h12", "M6.5 3v10"],
  arrow: ["M3 8h9.5", "m9 4.5 3.5 3.5L9 11.5"],
  back: ["m9.5 3.5-4.5 4.5 4.5 4.5"],
  lock: ["M3.5 7h9v7h-9z", "M5.5 7V4.8a2.5 2.5 0 0 1 5 0V7"],
};

/** A drawing next to a text that says the same: hidden from screen readers. */
export function icon(name) {
  const paths = ICONS[name].map((d) => svg("path", { d }));
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, paths);
}

/** The head of a table: a column of names, and columns of numbers with their meanings. */
export function tableHead(first, columns) {
  const cell = ({ name, label, meaning }) =>
    h("th", { scope: "col", class: "number", title: meaning, text: label, data: { column: name } });
  return h("thead", {}, h("tr", {}, h("th", { scope: "col", text: first }), columns.map(cell)));
}
