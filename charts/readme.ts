/** The tables of values and settings in the README of the chart. */
import { describeSettings } from '../src/commands/config.ts';
import { runSettings } from '../src/commands/settings.ts';
import { chartSettings, settingsOfTheChart } from './settings.ts';
import { type Group, listValues } from './values.ts';

const cell = (text: string) => text.replaceAll('|', '\\|');

/** The table refers to values.yaml for longer defaults. */
const longestDefault = 60;

export function valuesTable(values: Group): string {
  const rows = listValues(values).map(({ path, default: fallback, description }) => {
    const json = JSON.stringify(fallback);
    const shown = json.length > longestDefault ? 'see values.yaml' : `\`${cell(json)}\``;
    return `| \`${path}\` | ${shown} | ${cell(description)} |`;
  });
  return `| value | default | meaning |\n|---|---|---|\n${rows.join('\n')}\n`;
}

export function settingsTable(): string {
  const own = chartSettings().map(
    ({ name, flag, description }) => `| \`settings.${name}\` | \`${flag}\` | ${cell(description)} |`,
  );
  const flags = Object.keys(runSettings);
  const described = describeSettings(runSettings);
  const others = Object.entries(settingsOfTheChart).map(
    ([name, value]) => `| \`${value}\` | \`${described[flags.indexOf(name)]?.flag}\` | See [Values](#values). |`,
  );
  return `| value | flag | meaning |\n|---|---|---|\n${[...own, ...others].join('\n')}\n`;
}
