/** The commands for people, in the order of the help. `run` and `transfer`, which programs start, are added by main.ts. */
import { programVersion } from '../lib/version.ts';
import { type Command, command } from './command.ts';
import { completionCommand } from './completion.ts';
import { planCommand } from './plan.ts';

const version = command({
  name: 'version',
  summary: 'Print the version',
  operands: '',
  most: 0,
  settings: {},
  async run(_line, { out }) {
    out.write(`${programVersion}\n`);
    return false;
  },
});

export const commandsForPeople: readonly Command[] = [planCommand, completionCommand, version];

export function listOf(commands: readonly Command[]): string {
  const shown = commands.filter(({ isHidden }) => !isHidden);
  const width = Math.max(...shown.map(({ name }) => name.length));
  return shown.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
}
