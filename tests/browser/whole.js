// Which texts of a page are not seen whole. A name that a client chose may be cut off, where nothing comes after it.

/**
 * Runs in the page: gives what is cut off, of a dialog that is open or of the page. `long` is a letter of which long
 * names consist.
 */
export function cutTexts(long) {
  const found = new Set();
  const isSeen = (one) => one.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const name = new RegExp(`${long}{40,}`, "i");
  const NAMES = ".id, .store-name, .crumb-here, .cover";
  const root = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  const say = (one, text, what) => found.add(`${what}: ${one.className || one.tagName} “${text.slice(0, 60)}”`);
  const hides = (overflow) => overflow === "hidden" || overflow === "clip";
  /** The first thing around a text that hides a part of it; what scrolls shows all of it, one part after the other. */
  const hider = (rect, element) => {
    let [x, y] = [true, true];
    for (let one = element; one && (x || y); one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.display === "inline" || style.display === "contents") continue;
      const box = one.getBoundingClientRect();
      if (x && hides(style.overflowX) && (rect.left < box.left - 1.5 || rect.right > box.right + 1.5)) return one;
      if (y && hides(style.overflowY) && (rect.top < box.top - 1.5 || rect.bottom > box.bottom + 1.5)) return one;
      x &&= !["auto", "scroll"].includes(style.overflowX);
      y &&= !["auto", "scroll"].includes(style.overflowY);
    }
    return null;
  };
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    const isText = node.data.trim() !== "" && !element.closest("script, select, noscript, .visually-hidden, .skip");
    if (!isText || !isSeen(element)) continue;
    if (element.closest(NAMES)) continue;
    for (const word of node.data.matchAll(/\S+/g)) {
      // What comes before a long name has to be seen, and nothing may come after it.
      if (name.test(word[0]) && word.index + word[0].length === node.data.trimEnd().length) continue;
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const hidden = [...range.getClientRects()].map((rect) => hider(rect, element)).find(Boolean);
      if (!hidden) continue;
      say(hidden, node.data, `cut at “${word[0].slice(0, 20)}”`);
      break;
    }
  }
  for (const box of root.querySelectorAll(".scroll")) {
    const isWide = isSeen(box) && box.scrollWidth > box.clientWidth + 1;
    if (isWide) say(box, box.getAttribute("aria-label"), "scrolls sideways");
  }
  const pen = document.createElement("canvas").getContext("2d");
  for (const field of root.querySelectorAll("input:is([type=text], [type=search]), select")) {
    if (!isSeen(field)) continue;
    const style = getComputedStyle(field);
    pen.font = style.font;
    const text = field.tagName === "SELECT" ? field.selectedOptions[0].text : field.placeholder;
    const arrow = field.tagName === "SELECT" ? 16 : 0;
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - arrow;
    if (pen.measureText(text).width > room + 1) say(field, text, "does not fit its field");
  }
  return [...found];
}
