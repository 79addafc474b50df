#!/usr/bin/env node
/**
 * The `glance-image-operator` command, also as the kubectl plugin `kubectl glanceimage`: selects the command, each of which is a file of
 * its own. A failure ends the process with a message and an exit code (`commands/exit.ts`, `commands/command.ts`).
 */
import type { Command } from './commands/command.ts';
import { describeSettings } from './commands/config.ts';
import { exitCodeOf, exitCodes } from './commands/exit.ts';
import { candidatesCommand, commandsForPeople, listOf } from './commands/people.ts';
import { run, runHelp } from './commands/run.ts';
import { runSettings, transferSettings } from './commands/settings.ts';
import { isAskedByKubectl, programName, surroundingsOf, watchOutput } from './commands/surroundings.ts';
import { transfer, transferHelp } from './commands/transfer.ts';
import { describe } from './lib/errors.ts';
import { cleanText } from './lib/redact.ts';
import { printableLines } from './lib/text.ts';

const commands: readonly Command[] = [
  ofProcess('run', 'Run the operator', runHelp, runSettings, run),
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
  main: (args: string[]) => Promise<number | undefined>,
): Command {
  return {
    name,
    summary,
    isHidden: false,
    flags: describeSettings(settings),
    candidates: async () => [],
    help: (program) => `${program} ${name}: ${summary}\n\n${help}`,
    async run(args) {
      return (await main(args)) ?? exitCodes.stopped;
    },
  };
}

const program = programName(process.argv[1]);
const isPlugin = program.startsWith('kubectl');
const isHelp = (word: string) => word === '--help' || word === '-h';

function usage(): string {
  const alone = isPlugin ? 'help' : 'run';
  return (
    `Usage: ${program} [command] [flags]\n\nCommands:\n${listOf(commands)}\n\nDefault command: ${alone}\n` +
    `Flags of a command: ${program} <command> --help\n`
  );
}

async function main(args: string[]): Promise<number> {
  // The plugin is for people: without a command it prints its help, and does not start an operator.
  const [first = isPlugin ? 'help' : 'run', ...rest] = args;
  const isVersion = first === '--version';
  const isOfRun = !isPlugin && first.startsWith('--') && !isHelp(first) && !isVersion;
  const [name, flags] = isOfRun ? ['run', args] : [isVersion ? 'version' : first, rest];
  const chosen = commands.find((one) => one.name === name);
  const subject = name === 'help' ? commands.find((one) => one.name === rest[0] && !one.isHidden) : undefined;
  if (subject !== undefined) process.stdout.write(`${subject.help(program)}\n`);
  else if (isHelp(name) || name === 'help') process.stdout.write(usage());
  else if (chosen === undefined) {
    process.stderr.write(printableLines(`glance-image-operator: there is no command "${name}"\n\n${usage()}`));
    return exitCodes.failed;
  } else if (flags.some(isHelp) && !chosen.isHidden) process.stdout.write(`${chosen.help(program)}\n`);
  else return chosen.run(flags, () => surroundingsOf(process, output.signal));
  return exitCodes.stopped;
}

const words = process.argv.slice(2);
const output = watchOutput(process);
// Open handles, such as a socket that does not close, must not keep the process alive. One executable admits no await here.
main(isAskedByKubectl(process.argv[1]) ? ['__complete', '--kubectl', '--', ...words] : words).then(
  (code) => output.end(code),
  (error: unknown) => {
    process.stderr.write(`glance-image-operator: ${printableLines(cleanText(describe(error)))}\n`);
    output.end(exitCodeOf(error));
  },
);
