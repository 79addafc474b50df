#!/usr/bin/env node
/**
 * The `glance-image-operator` command, also as the kubectl plugin `kubectl glanceimage`: selects the command, each of which is a file of
 * its own. A failure ends the process with a message and an exit code (`commands/exit.ts`, `commands/command.ts`).
 */
import type { Command } from './commands/command.ts';
import { describeSettings, UsageError } from './commands/config.ts';
import { exitCodeOf, exitCodes } from './commands/exit.ts';
import { candidatesCommand, commandsForPeople, listOf } from './commands/people.ts';
import { run, runHelp } from './commands/run.ts';
import { runSettings, transferSettings } from './commands/settings.ts';
import { programName, surroundingsOf } from './commands/surroundings.ts';
import { transfer, transferHelp } from './commands/transfer.ts';
import { describe } from './lib/errors.ts';
import { cleanText } from './lib/redact.ts';

const commands: readonly Command[] = [
  ofProcess('run', 'Run the operator (the default)', runHelp, runSettings, run),
  ofProcess('transfer', 'Fill one queued image as a plan says', transferHelp, transferSettings, transfer),
  ...commandsForPeople,
  candidatesCommand(() => commands),
];

/** A command that programs start. Its errors and exit codes are those of the process. */
function ofProcess(
  name: string,
  summary: string,
  help: string,
  settings: Parameters<typeof describeSettings>[0],
  main: (args: string[]) => Promise<void>,
): Command {
  return {
    name,
    summary,
    isHidden: false,
    flags: describeSettings(settings),
    help: (program) => `${program} ${name}: ${summary}\n\n${help}`,
    async run(args) {
      await main(args);
      return exitCodes.stopped;
    },
  };
}

const program = programName(process.argv[1]);

function usage(): string {
  return `Usage: ${program} [command] [flags]\n\nCommands:\n${listOf(commands)}\n\nFlags of a command: ${program} <command> --help\n`;
}

async function main(args: string[]): Promise<number> {
  const [first = 'run', ...rest] = args;
  const [name, flags] = first.startsWith('--') && first !== '--help' ? ['run', args] : [first, rest];
  const chosen = commands.find((one) => one.name === name);
  if (name === '--help' || name === 'help') process.stdout.write(usage());
  else if (chosen === undefined) throw new UsageError(`there is no command "${name}"\n\n${usage()}`);
  else if (flags.includes('--help') && !chosen.isHidden) process.stdout.write(`${chosen.help(program)}\n`);
  else return chosen.run(flags, () => surroundingsOf(process));
  return exitCodes.stopped;
}

let code: number = exitCodes.stopped;
try {
  code = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`glance-image-operator: ${cleanText(describe(error))}\n`);
  process.exit(exitCodeOf(error));
}
// Open handles, such as a socket that does not close, must not keep the process alive.
process.exit(code);
