// A dashboard against Grafana's types: the compiler reads the JSON as a constant of types.ts.

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const HERE = fileURLToPath(new URL('.', import.meta.url));

const OPTIONS = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: [],
};

// What Grafana and the compiler bring along is read once.
const libraries = new Map();

/**
 * What is wrong with dashboards by the types, a line each.
 * @param {Array<{ name: string, text: string }>} files dashboards as JSON
 * @returns {string[]}
 */
export function schemaErrors(files) {
  const sources = new Map(files.map(({ name, text }) => [path.join(HERE, `${name}.ts`), source(text)]));
  const host = ts.createCompilerHost(OPTIONS);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (file) => sources.has(file) || fileExists(file);
  host.readFile = (file) => sources.get(file) ?? readFile(file);
  host.getSourceFile = (file, version) => {
    if (sources.has(file)) {
      return ts.createSourceFile(file, sources.get(file), version);
    }
    if (!libraries.has(file)) {
      libraries.set(file, getSourceFile.call(host, file, version));
    }
    return libraries.get(file);
  };
  const program = ts.createProgram([...sources.keys()], OPTIONS, host);
  return ts.getPreEmitDiagnostics(program).map(describe);
}

// The JSON begins on a line of its own, so that the lines of an error are those of the file, and one.
function source(json) {
  return `import type { HoldfastDashboard } from './types'; export const dashboard: HoldfastDashboard =\n${json};`;
}

function describe({ file, start, messageText }) {
  const text = ts.flattenDiagnosticMessageText(messageText, '\n  ');
  if (!file) {
    return text;
  }
  const { line } = file.getLineAndCharacterOfPosition(start);
  return `${path.basename(file.fileName, '.ts')}:${line}: ${text}`;
}
