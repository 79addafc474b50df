/**
 * The commands for people, in the order of the help, and what completes them. `run` and `transfer`, which programs start, are added by
 * main.ts.
 */
import { programVersion } from '../lib/version.ts';
import { type Command, command, type Surroundings } from './command.ts';
import { completionCommand } from './completion.ts';
import { setting } from './config.ts';
import { diffCommand } from './diff.ts';
import { draftCommand } from './draft.ts';
import { exportCommand } from './export.ts';
import { orphansCommand } from './orphans.ts';
import { planCommand } from './plan.ts';
import { rollbackCommand } from './rollback.ts';
import { statusCommand } from './status.ts';
import { verifyCommand } from './verify.ts';

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

export const commandsForPeople: readonly Command[] = [
  planCommand,
  diffCommand,
  statusCommand,
  rollbackCommand,
  orphansCommand,
  draftCommand,
  exportCommand,
  verifyCommand,
  completionCommand,
  version,
];

export function listOf(commands: readonly Command[]): string {
  const shown = commands.filter(({ isHidden }) => !isHidden);
  const width = Math.max(...shown.map(({ name }) => name.length));
  return shown.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
}

/** The command that the scripts ask. `commands` is the whole table. kubectl completes files after `:0`, and nothing else after `:4`. */
export function candidatesCommand(commands: () => readonly Command[]): Command {
  return command({
    name: '__complete',
    summary: 'Print what can follow',
    operands: '-- [WORD…]',
    most: 1000,
    settings: {
      kubectl: {
        schema: setting.switch(),
        help: 'End with the line that kubectl expects of the completion of a plugin.',
      },
    },
    hidden: true,
    async run({ settings: { kubectl }, operands }, surroundings) {
      const found = await candidates(operands, commands(), surroundings);
      const end = found === undefined ? ':0' : ':4';
      surroundings.out.write([...(found ?? []), ...(kubectl ? [end] : [])].map((one) => `${one}\n`).join(''));
      return false;
    },
  });
}

/** What can take the place of the last word. Undefined: a file, or what only the user knows. */
export async function candidates(
  words: readonly string[],
  commands: readonly Command[],
  surroundings: Surroundings,
): Promise<readonly string[] | undefined> {
  const [first = '', ...rest] = words;
  const last = words.at(-1) ?? '';
  const matching = (all: readonly string[]) => all.filter((one) => one.startsWith(last));
  const names = commands.filter(({ isHidden }) => !isHidden).map(({ name }) => name);
  if (rest.length === 0) return matching([...names, 'help', '--help']);
  if (first === 'help') return rest.length === 1 ? matching(names) : [];
  const chosen = commands.find(({ name }) => name === first);
  if (chosen === undefined) return undefined;
  const joined = /^(--[\w-]+=)(.*)$/.exec(last);
  if (joined !== null) {
    const [, start = '', value = ''] = joined;
    return choices(chosen, start.slice(0, -1), value)?.map((one) => `${start}${one}`);
  }
  const before = rest.at(-2);
  if (takes(chosen, before)) return choices(chosen, before, last);
  if (last.startsWith('-')) return matching([...chosen.flags.map(({ flag }) => flag), '--help']);
  const all = await chosen.candidates(rest.slice(0, -1), surroundings);
  return all && matching(all);
}

function takes({ flags }: Command, name: string | undefined): boolean {
  return (
    name !== undefined && flags.some(({ flag, short, value }) => value !== '' && (name === flag || name === short))
  );
}

/** Of the flag of this name, where its value is such as `table|json|yaml`. Words in capitals stand for what the user knows. */
function choices({ flags }: Command, name: string | undefined, start: string): string[] | undefined {
  const { value = '' } = flags.find(({ flag, short }) => name === flag || name === short) ?? {};
  return /^[A-Z]?[a-z]+(?:\|[A-Z]?[a-z]+)+$/.test(value)
    ? value.split('|').filter((one) => one.startsWith(start))
    : undefined;
}
