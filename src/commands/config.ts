/**
 * Settings of a command: one table has the flag, meaning and default of each, for `--help`, for completion and for the values.
 *
 * Invariant: a flag overrides its environment variable, if it has one, which overrides the default. An invalid value ends the
 * program with a message.
 */
import { Command, CommanderError, Option } from 'commander';
import * as z from 'zod';
import { parseBytes } from '../lib/bytes.ts';
import { parseDuration } from '../lib/duration.ts';

export interface Setting<S extends z.ZodType> {
  /** Checks and converts the text that was given; its `.default()` applies when none was. */
  schema: S;
  /** What it stands for in the help, such as `PATH`. A flag without a value is a switch. */
  value?: string;
  /** One letter. */
  short?: string;
  /** It has no environment variable, because it is an agreement to one call. */
  isFlagOnly?: true;
  help: string;
}

export type Settings = Record<string, Setting<z.ZodType>>;
export type ValuesOf<T extends Settings> = { [K in keyof T]: z.output<T[K]['schema']> };

/** Wrong usage: the message is for the user at the terminal. */
export class UsageError extends Error {}

/** Keys of the table are flags in camelCase: `healthAddress` is `--health-address` and `GLANCE_IMAGE_OPERATOR_HEALTH_ADDRESS`. */
export function readSettings<T extends Settings>(table: T, args: string[], env: NodeJS.ProcessEnv): ValuesOf<T> {
  return readCommandLine(table, args, env, 0).settings;
}

/** As `readSettings`, for a command that takes up to `most` operands in addition to its flags. `flags`: those that `args` has. */
export function readCommandLine<T extends Settings>(
  table: T,
  args: string[],
  env: NodeJS.ProcessEnv,
  most: number,
): { settings: ValuesOf<T>; operands: string[]; flags: string[] } {
  const { given, operands } = parse(table, args);
  if (operands.length > most) throw new UsageError(`Unexpected argument '${operands[most]}'`);
  const shape = Object.fromEntries(Object.entries(table).map(([key, { schema }]) => [key, schema]));
  const described = describeSettings(table);
  const texts = described.map(({ flag, env: name }) => given.get(flag) ?? (name === undefined ? undefined : env[name]));
  const raw = Object.fromEntries(Object.keys(table).map((key, index) => [key, texts[index]]));
  const parsed = z.object(shape).safeParse(raw);
  if (parsed.success) return { settings: parsed.data as ValuesOf<T>, operands, flags: [...given.keys()] };
  const [issue] = parsed.error.issues;
  throw new UsageError(`--${flagOf(String(issue?.path[0]))}: ${issue?.message}`);
}

/** The texts of the flags, by name, and the operands. */
function parse(table: Settings, args: string[]): { given: Map<string, string>; operands: string[] } {
  const parser = new Command()
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
    .helpOption(false)
    .argument('[operands...]');
  const options = Object.entries(table).map(([key, { value, short }]) => {
    const letter = short === undefined ? '' : `-${short}, `;
    return {
      flag: `--${flagOf(key)}`,
      option: new Option(`${letter}--${flagOf(key)}${value === undefined ? '' : ' <value>'}`),
    };
  });
  for (const { option } of options) parser.addOption(option);
  try {
    parser.parse(args, { from: 'user' });
  } catch (error) {
    throw error instanceof CommanderError ? new UsageError(error.message.replace(/^error: /, '')) : error;
  }
  const values = parser.opts<Record<string, string | true | undefined>>();
  const given = options.flatMap(({ flag, option }): [string, string][] => {
    const value = values[option.attributeName()];
    return value === undefined ? [] : [[flag, String(value)]];
  });
  return { given: new Map(given), operands: parser.args };
}

export interface SettingDescription {
  flag: string;
  /** Empty for a switch. */
  value: string;
  short: string | undefined;
  env: string | undefined;
  help: string;
}

/** What a person needs to know of each setting. */
export function describeSettings(table: Settings): SettingDescription[] {
  return Object.entries(table).map(([key, one]) => ({
    flag: `--${flagOf(key)}`,
    value: one.value ?? '',
    short: one.short === undefined ? undefined : `-${one.short}`,
    env: envOf(key, one),
    help: one.help,
  }));
}

export function helpOf(table: Settings): string {
  return describeSettings(table)
    .map(({ flag, short, value, env, help }) => {
      const names = short === undefined ? flag : `${flag}, ${short}`;
      const variable = env === undefined ? '' : `\n      Environment: ${env}`;
      return `  ${`${names} ${value}`.trimEnd()}\n      ${help}${variable}`;
    })
    .join('\n');
}

function flagOf(key: string): string {
  return key.replace(/GiB|CIDR|[A-Z]/g, (start) => `-${start.toLowerCase()}`);
}

function envOf(key: string, { isFlagOnly }: Setting<z.ZodType>): string | undefined {
  if (isFlagOnly) return undefined;
  return `GLANCE_IMAGE_OPERATOR_${flagOf(key).replaceAll('-', '_').toUpperCase()}`;
}

export function isWebAddress(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}

/** Schemas for what settings hold. */
export const setting = {
  /** Milliseconds, from text such as `15s`. */
  duration: (fallback: string) =>
    z
      .string()
      .default(fallback)
      .transform((text, context) => {
        try {
          return parseDuration(text);
        } catch {
          context.addIssue({ code: 'custom', message: `must be a duration such as ${fallback}` });
          return z.NEVER;
        }
      }),
  /** For a setting without a value. */
  switch: () =>
    z
      .enum(['true', 'false'])
      .default('false')
      .transform((text) => text === 'true'),
  flag: (fallback: boolean) =>
    z
      .enum(['true', 'false'])
      .default(fallback ? 'true' : 'false')
      .transform((text) => text === 'true'),
  bytes: () =>
    z
      .string()
      .regex(/^[1-9][0-9]{0,14}(?:Ki|Mi|Gi|Ti)?$/, 'must be a number of bytes such as 1Gi')
      .transform(parseBytes)
      .optional(),
  count: (min: number, max: number, fallback: number) => z.coerce.number().int().min(min).max(max).default(fallback),
  list: () =>
    z
      .string()
      .default('')
      .transform((text) =>
        text
          .split(',')
          .map((item) => item.trim())
          .filter((item) => item !== ''),
      ),
  text: () => z.string().min(1, 'must not be empty').optional(),
  url: () => z.string().refine(isWebAddress, 'must be a URL, http:// or https://').optional(),
};
