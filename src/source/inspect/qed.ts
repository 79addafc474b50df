/** QED, a former format of QEMU. Law: no cloud takes it, so it is only known in order to be refused. */
import { bytes, type FormatVerdict, hasAt, type Inspection, other, recognised, unsafe } from './reader.ts';

export function* inspectQed(): Inspection<FormatVerdict> {
  if (!hasAt(yield* bytes(0, 4), 0, 'QED\0')) return other;
  yield recognised;
  return unsafe('is in a format that Glance never takes');
}
