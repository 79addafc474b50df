/**
 * Logging: JSON lines by pino.
 *
 * Invariant: every line of a reconcile has the id of the reconcile, and every line is searched for secrets.
 */
import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import { currentContext } from './context.ts';
import { cleanFields, cleanText } from './redact.ts';

export type Logger = PinoLogger;
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** `destination` is the standard output unless given. */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const log = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      // Fields of the line override the context.
      mixin: () => ({ ...currentContext()?.fields }),
      formatters: { level: (label) => ({ level: label }), log: cleanFields },
      // Errors have been made plain by then.
      serializers: { err: (error: unknown) => error },
      hooks: {
        logMethod(args, write) {
          const [first, given, ...others] = args;
          // For an error without a message pino uses the message of the line.
          const words = given ?? (first instanceof Error ? first.message : undefined);
          const subject = typeof first === 'string' ? cleanText(first) : first;
          write.apply(this, [subject, ...(words === undefined ? [] : ([cleanText(words), ...others] as const))]);
        },
      },
    },
    ...(destination === undefined ? [] : [destination]),
  );
  // The one way by which fields come into lines that no formatter sees. Children inherit it.
  const { child } = log;
  Object.defineProperty(log, 'child', {
    value(this: Logger, bindings: object, ...options: []) {
      return child.call(this, cleanFields(bindings), ...options);
    },
  });
  return log;
}

export const silentLogger: Logger = pino({ level: 'silent' });
