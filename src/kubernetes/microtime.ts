/** MicroTime, as Leases and Events carry it. Law: six digits of fraction; the API server refuses three. */
export function microTime(at: Date): string {
  return at.toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');
}
