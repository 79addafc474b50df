/**
 * Logging: JSON lines by pino. Law: what reaches a log line has been cleaned where it was made (`SecretString`, `safeUrl`);
 * the paths redacted here are the second wall, not the first.
 */
import { type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';

export type Logger = PinoLogger;
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export function createLogger(level: LogLevel): Logger {
  return pino({
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: {
      paths: ['*.password', '*.secret', '*.token', '*.authorization', '*["x-auth-token"]', '*["clouds.yaml"]'],
      censor: '[redacted]',
    },
    serializers: { error: serializeError },
  });
}

export const silentLogger: Logger = pino({ level: 'silent' });

/** An error as a log line carries it: its own words and codes, the chain of causes, no stack unless it is a bug of ours. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message } = error;
  const code = 'code' in error ? error.code : undefined;
  const cause = error.cause === undefined ? undefined : serializeError(error.cause);
  const isBug = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  return { name, message, code, cause, stack: isBug ? error.stack : undefined };
}
