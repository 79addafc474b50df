#!/usr/bin/env node
/**
 * The `glance-image-operator` command: selects the command, each of which is a file of its own. A failure ends the
 * process with a message and an exit code (`commands/exit.ts`).
 */
import { UsageError } from './commands/config.ts';
import { exitCodeOf, exitCodes } from './commands/exit.ts';
import { run, runHelp } from './commands/run.ts';
import { transfer, transferHelp } from './commands/transfer.ts';
import { describe } from './lib/errors.ts';
import { cleanText } from './lib/redact.ts';
import { programVersion } from './lib/version.ts';

interface Command {
  summary: string;
  help: string;
  main(args: string[]): Promise<void>;
}

const commands: Record<string, Command> = {
  run: { summary: 'Run the operator (the default)', help: runHelp, main: run },
  transfer: { summary: 'Fill one queued image as a plan says', help: transferHelp, main: transfer },
  version: { summary: 'Print the version', help: '', main: printVersion },
};

async function printVersion(): Promise<void> {
  process.stdout.write(`${programVersion}\n`);
}

function usage(): string {
  const list = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`);
  return `Usage: glance-image-operator [command] [flags]\n\nCommands:\n${list.join('\n')}\n\nFlags of a command: glance-image-operator <command> --help\n`;
}

async function main(args: string[]): Promise<void> {
  const [first = 'run', ...rest] = args;
  const [name, flags] = first.startsWith('--') && first !== '--help' ? ['run', args] : [first, rest];
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (name === '--help' || name === 'help') process.stdout.write(usage());
  else if (command === undefined) throw new UsageError(`there is no command "${name}"\n\n${usage()}`);
  else if (flags.includes('--help'))
    process.stdout.write(`glance-image-operator ${name}: ${command.summary}\n\n${command.help}\n`);
  else await command.main(flags);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`glance-image-operator: ${cleanText(describe(error))}\n`);
  process.exit(exitCodeOf(error));
}
// Open handles, such as a socket that does not close, must not keep the process alive.
process.exit(exitCodes.stopped);
