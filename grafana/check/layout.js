// What the types do not check in a dashboard: positions and titles of panels, and their data sources.

const WIDTH = 24;
const SHARED = '-- Dashboard --';

/**
 * All panels of a dashboard, including those in folded rows.
 * @param {object} dashboard
 * @returns {object[]}
 */
export function panelsOf(dashboard) {
  return dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
}

/**
 * The errors of the layout, one line each.
 * @param {object} dashboard
 * @returns {string[]}
 */
export function layoutErrors(dashboard) {
  const panels = panelsOf(dashboard);
  return [
    ...duplicates(panels.map(({ id }) => `panel id ${id}`)),
    ...panels.flatMap(outside),
    ...overlaps(panels),
    ...panels
      .filter(({ type, title, description }) => !title || (type !== 'row' && !description))
      .map(({ id }) => `panel ${id} has no title or no description`),
    ...panels.flatMap((panel) => (panel.targets ?? []).flatMap((target) => sourceErrors(dashboard, panel, target))),
    ...variableErrors(dashboard),
  ];
}

function duplicates(names) {
  return names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${name} is there twice`);
}

function outside({ id, gridPos }) {
  const fits =
    gridPos && gridPos.x >= 0 && gridPos.y >= 0 && gridPos.w > 0 && gridPos.h > 0 && gridPos.x + gridPos.w <= WIDTH;
  return fits ? [] : [`panel ${id} is not within the ${WIDTH} columns: ${JSON.stringify(gridPos)}`];
}

function overlaps(panels) {
  const apart = (a, b) => a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
  return panels.flatMap((one, index) =>
    panels
      .slice(index + 1)
      .filter((other) => one.gridPos && other.gridPos && !apart(one.gridPos, other.gridPos))
      .map((other) => `panels ${one.id} and ${other.id} overlap`),
  );
}

// A target queries the data source of a variable, or reuses the result of a panel that does.
function sourceErrors(dashboard, panel, target) {
  const where = `panel ${panel.id}, query ${target.refId}`;
  const { uid, type } = target.datasource ?? {};
  if (uid !== panel.datasource?.uid) {
    return [`${where} asks ${uid}, the panel ${panel.datasource?.uid}`];
  }
  if (uid === SHARED) {
    const asked = panelsOf(dashboard).find(({ id }) => id === target.panelId);
    const asksItself = asked?.targets?.some(({ datasource }) => datasource.uid !== SHARED);
    return asksItself ? [] : [`${where} reuses the answer of panel ${target.panelId}, which asks nothing`];
  }
  const variable = dashboard.templating.list.find(({ name }) => uid === `\${${name}}`);
  const known = variable?.type === 'datasource' && variable.query === type;
  return known ? [] : [`${where} asks ${type} ${uid}, which is no variable for that kind of data source`];
}

// A variable in a query must exist.
function variableErrors(dashboard) {
  const known = new Set(dashboard.templating.list.map(({ name }) => name));
  const named = [...JSON.stringify(dashboard.panels).matchAll(/\$\{(\w+)[:}]|"\$(\w+)\\"/g)].map(
    ([, braced, plain]) => braced ?? plain,
  );
  return [...new Set(named)].filter((name) => !known.has(name)).map((name) => `there is no variable ${name}`);
}
