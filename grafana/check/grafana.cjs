// Grafana's own code for data, in Node: parts of it look for a browser as they load, one prints an advertisement as it starts.

const { JSDOM } = require('jsdom');

const { window } = new JSDOM('');
// Defined and not assigned: since version 21 Node has a navigator of its own, which cannot be assigned to.
for (const [name, value] of Object.entries({ window, document: window.document, navigator: window.navigator }))
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
console.info = () => {};
module.exports = require('@grafana/data');
