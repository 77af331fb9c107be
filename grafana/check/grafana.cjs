// Grafana's own code for data, in Node: parts of it look for a browser as they load, one prints an advertisement as it starts.

const { JSDOM } = require('jsdom');

const { window } = new JSDOM('');
Object.assign(globalThis, { window, document: window.document, navigator: window.navigator });
console.info = () => {};
module.exports = require('@grafana/data');
