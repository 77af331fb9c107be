// Checks the dashboards and the provisioning of this repository: node check.js

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { dashboardErrors } from './dashboard.js';
import { provisioningErrors } from './provisioning.js';
import { rulesErrors } from './rules.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = path.join(HERE, '..', '..');
const DASHBOARDS = path.join(ROOT, 'grafana', 'dashboards');

const names = readdirSync(DASHBOARDS).filter((name) => name.endsWith('.json'));
const files = names.map((name) => ({ name, text: readFileSync(path.join(DASHBOARDS, name), 'utf8') }));
const errors = [...(await dashboardErrors(files)), ...provisioningErrors(ROOT), ...rulesErrors(ROOT)];
errors.forEach((error) => console.error(error));
console.log(
  errors.length ? `${errors.length} errors` : `${names.length} dashboards and their provisioning are in order`,
);
process.exitCode = errors.length ? 1 : 0;
