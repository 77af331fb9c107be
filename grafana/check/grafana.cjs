// Grafana's own data code, in Node: parts of it need a browser when they load, and one prints an advertisement when it
// starts.

const { JSDOM } = require('jsdom');

const { window } = new JSDOM('');
// Defined, not assigned: Node has had a navigator of its own since version 21, which cannot be assigned to.
for (const [name, value] of Object.entries({ window, document: window.document, navigator: window.navigator }))
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
console.info = () => {};
module.exports = require('@grafana/data');
