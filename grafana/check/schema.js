// Checks a dashboard against Grafana's types: the compiler reads the JSON as a constant of a type in types.ts.

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

// The files of Grafana and of the compiler are read once.
const libraries = new Map();

/**
 * The type errors of dashboards, one line each.
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

// The JSON begins on the second line, so that the line number of an error is that of the file plus one.
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
