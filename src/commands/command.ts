/**
 * One command of `glance-image-operator`: its flags, its operands and its exit codes in one definition, of which the help and the
 * completion are made.
 *
 * Invariant: a command for people exits with 0, with 1 after any error, wrong usage included, or with 2 as its definition says. An
 * error is one sentence and, where there is one, the remedy; never a stack.
 */
import { isReason, reasons } from '../api/reasons.ts';
import { KubernetesError } from '../kubernetes/errors.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import { cleanText } from '../lib/redact.ts';
import { printableLines } from '../lib/text.ts';
import { describeSettings, helpOf, readCommandLine, type Settings, type ValuesOf } from './config.ts';
import type { Screen } from './progress.ts';

/** What a command gets of the process. */
export interface Surroundings {
  out: Screen;
  /** For everything that is not the result. */
  err: Screen;
  env: NodeJS.ProcessEnv;
  /**
   * Text that is typed, up to the end of a line, after a question on standard error. Undefined at the end of the input, and where input or
   * question are on no terminal.
   */
  readLine(question: string, signal: AbortSignal): Promise<string | undefined>;
  /** All of the input. */
  readInput(): Promise<string>;
  clock: Clock;
  /** Aborts on SIGINT or SIGTERM, and with an OutputEnded. */
  signal: AbortSignal;
}

/** Standard output takes nothing more: its reader has gone, or there is this problem. */
export class OutputEnded extends Error {
  readonly problem: string | undefined;

  constructor(problem: string | undefined) {
    super(problem ?? 'the reader of the output has gone');
    this.problem = problem;
  }
}

export interface CommandLine<T extends Settings> {
  settings: ValuesOf<T>;
  operands: string[];
}

export interface Definition<T extends Settings> {
  name: string;
  summary: string;
  /** Such as `[NAME]`; empty where it takes none. */
  operands: string;
  /** How many it takes at most. */
  most: number;
  settings: T;
  /** After the summary in the help. */
  notes?: string;
  /** What exit code 2 means; absent: it is not used. */
  found?: string;
  /** Completion does not show it. */
  hidden?: true;
  /** It works on a file, a URL or a cloud that the command line names, and on no resource of the cluster. */
  isByHand?: true;
  /** What its operand can be, for the completion. Absent: a file, or what only the user knows. */
  candidates?(line: CommandLine<T>, surroundings: Surroundings): Promise<readonly string[]>;
  /** Resolves with whether exit code 2 applies. */
  run(line: CommandLine<T>, surroundings: Surroundings): Promise<boolean>;
}

export interface Command {
  name: string;
  summary: string;
  isHidden: boolean;
  flags: ReturnType<typeof describeSettings>;
  help(program: string): string;
  /** What its next operand can be after these arguments. Undefined: a file, or what only the user knows. */
  candidates(args: readonly string[], surroundings: Surroundings): Promise<readonly string[] | undefined>;
  /** Resolves with the exit code. Commands that programs start have no use for the surroundings. */
  run(args: string[], surroundings: () => Surroundings): Promise<number>;
}

const codes = { done: 0, failed: 1, found: 2 } as const;

export function command<const T extends Settings>(definition: Definition<T>): Command {
  const { name, summary, operands, most, settings, notes, found, hidden } = definition;
  const flags = helpOf(settings);
  const rows = [
    `  ${codes.done}  ${found === undefined ? 'success' : 'success, if 2 does not apply'}`,
    `  ${codes.failed}  an error, wrong usage included`,
    ...(found === undefined ? [] : [`  ${codes.found}  ${found}`]),
  ];
  return {
    name,
    summary,
    isHidden: hidden === true,
    flags: describeSettings(settings),
    help: (program) =>
      [
        `${program} ${name}: ${summary}`,
        `Usage: ${[program, name, operands, flags === '' ? '' : '[flags]'].filter((one) => one !== '').join(' ')}`,
        ...(notes === undefined ? [] : [notes]),
        ...(flags === '' ? [] : [`Flags:\n${flags}`]),
        `Exit codes:\n${rows.join('\n')}`,
      ].join('\n\n'),
    async candidates(args, surroundings) {
      if (definition.candidates === undefined) return most === 0 ? [] : undefined;
      try {
        const line = readCommandLine(settings, [...args], surroundings.env, most);
        return line.operands.length < most ? await definition.candidates(line, surroundings) : [];
      } catch {
        // A shell shows no message in the line that is typed.
        return [];
      }
    },
    async run(args, make) {
      const surroundings = make();
      let line: CommandLine<T>;
      try {
        line = readCommandLine(settings, args, surroundings.env, most);
      } catch (error) {
        const hint = `\n  --help lists the flags of ${name}.`;
        const sentence = sentenceOf(error, surroundings.signal, { isByHand: false, isLocalCloud: false });
        surroundings.err.write(`glance-image-operator: ${sentence}${hint}\n`);
        return codes.failed;
      }
      try {
        return (await definition.run(line, surroundings)) ? codes.found : codes.done;
      } catch (error) {
        // The process reports it.
        if (surroundings.signal.reason instanceof OutputEnded) return codes.done;
        const origin = { isByHand: definition.isByHand === true, isLocalCloud: hasLocalCloud(line.settings) };
        surroundings.err.write(`glance-image-operator: ${sentenceOf(error, surroundings.signal, origin)}\n`);
        return codes.failed;
      }
    },
  };
}

/** What an error may be about. It decides which remedy can be followed. */
export interface Origin {
  isByHand: boolean;
  /** The credentials are those of --os-cloud. */
  isLocalCloud: boolean;
}

function hasLocalCloud(settings: object): boolean {
  return 'osCloud' in settings && settings.osCloud !== undefined;
}

function sentenceOf(error: unknown, signal: AbortSignal, origin: Origin): string {
  if (signal.aborted) return printableLines(cleanText(describe(signal.reason)));
  const remedy = remedyOf(error, origin);
  const message = printableLines(cleanText(describe(error)));
  return remedy === undefined ? message : `${message}\n  ${remedy}`;
}

/** Failures for which the kubeconfig may be the wrong one. */
const ofKubeconfig: ReadonlySet<string> = new Set([
  'KubeconfigInvalid',
  'CredentialsUnavailable',
  'Unreachable',
  'Unauthorized',
  'Forbidden',
]);

/** With the credentials of --os-cloud, in place of the remedy for those of a Secret. */
const ofLocalCloud: Partial<Record<string, string>> = {
  SecretInvalid: 'Fix the clouds.yaml on this machine. --clouds-yaml names another one.',
  CloudNotFound: 'Name one of its clouds with --os-cloud, or another file with --clouds-yaml.',
  CloudChanged: 'Name the cloud with the project and region of the image with --os-cloud.',
  AuthenticationFailed:
    'Renew the password or the application credential in clouds.yaml, and check that its project is enabled. If the same credentials work elsewhere, wait: Keystone may have an outage of its own.',
};

/** In a remedy: a field, or a Secret that a field names. */
const aboutResource = /`|Secret/;

/** The remedies in the table of reasons are for the operator, which retries and has a ServiceAccount. A command has neither, so its user has to act. */
export function remedyOf(error: unknown, { isByHand, isLocalCloud }: Origin): string | undefined {
  if (error instanceof KubernetesError)
    return ofKubeconfig.has(error.reason)
      ? 'Check the kubeconfig and the permissions of its user. --kubeconfig and --context choose others.'
      : undefined;
  if (!(error instanceof OperatorError) || !isReason(error.code)) return undefined;
  const local = isLocalCloud ? ofLocalCloud[error.code] : undefined;
  if (local !== undefined) return local;
  const { actor, remedy } = reasons[error.code];
  if (actor === 'operator')
    return 'Run the command again later. If it fails again, check the server, and the network between it and this machine.';
  return isByHand && aboutResource.test(remedy) ? undefined : remedy;
}
