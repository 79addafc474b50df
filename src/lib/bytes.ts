/** Byte counts for people, in the binary units that Kubernetes uses: `592Mi`, `1.3Gi`. */
const units = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'];

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${value.toFixed(digits).replace(/\.0$/, '')}${units[unit]}`;
}

/** Of text such as `1Gi` or `4096`. */
export function parseBytes(text: string): number {
  const unit = units.findLastIndex((one) => text.endsWith(one));
  return units.slice(0, unit).reduce((bytes) => bytes * 1024, Number.parseInt(text, 10));
}
