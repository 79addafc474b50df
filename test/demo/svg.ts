/**
 * Renders terminal output as a picture. Invariant: pure; each line comes from the recording, and omissions are marked.
 */

/** A piece of a line in one style. */
interface Span {
  text: string;
  style: string;
}

const columns = 112;
const [charWidth, lineHeight, fontSize, margin, bar] = [7.83, 18, 13, 18, 34];
const styles: Readonly<Record<string, string>> = {
  '1': 'bold',
  '2': 'dim',
  '31': 'red',
  '32': 'green',
  '33': 'yellow',
  '36': 'title',
};

/** The lines of a recording with SGR escapes, wrapped at the width of the picture. */
export function spansOf(line: string): Span[] {
  let style = '';
  const spans: Span[] = [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes begin with one.
  for (const part of line.split(/(\u001b\[[\d;]*m)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the same.
    const [, code] = /^\u001b\[([\d;]*)m$/.exec(part) ?? [];
    if (code === undefined) {
      if (part !== '') spans.push({ text: part, style });
    } else style = styles[code] ?? (/^(?:0|22|39)?$/.test(code) ? '' : style);
  }
  return spans;
}

function wrapped(spans: readonly Span[]): Span[][] {
  const lines: Span[][] = [[]];
  let used = 0;
  for (const { text, style } of spans) {
    for (const word of text.split(/(?<= )/)) {
      if (used > 0 && used + word.trimEnd().length > columns) {
        lines.push([{ text: '    ', style }]);
        used = 4;
      }
      lines.at(-1)?.push({ text: word, style });
      used += word.length;
    }
  }
  return lines;
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** A dark terminal; fonts of the viewer, so every character gets the place of its column. */
export function terminalPicture(caption: string, recording: readonly string[]): string {
  const lines = recording.flatMap((line) => wrapped(spansOf(line)));
  const width = Math.ceil(columns * charWidth + 2 * margin);
  const height = bar + lines.length * lineHeight + margin;
  const texts = lines.map((spans, row) => {
    const y = bar + (row + 1) * lineHeight - 4;
    let column = 0;
    return spans
      .map(({ text, style }) => {
        const x = (margin + column * charWidth).toFixed(1);
        column += text.length;
        if (text.trim() === '') return '';
        const shown = text.trimEnd();
        const size = `textLength="${(shown.length * charWidth).toFixed(1)}"`;
        return `<text x="${x}" y="${y}" ${size}${style === '' ? '' : ` class="${style}"`}>${escaped(shown)}</text>`;
      })
      .join('');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(caption)}">
<style>text{font:${fontSize}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d7dae0;white-space:pre}.dim{fill:#8a919e}.title{fill:#56b6c2;font-weight:bold}.bold{font-weight:bold}.red{fill:#e06c75}.green{fill:#98c379}.yellow{fill:#e5c07b}</style>
<rect width="${width}" height="${height}" rx="8" fill="#1e2127"/>
<circle cx="20" cy="17" r="5.5" fill="#ff5f57"/><circle cx="38" cy="17" r="5.5" fill="#febc2e"/><circle cx="56" cy="17" r="5.5" fill="#28c840"/>
<text x="${width / 2}" y="21" text-anchor="middle" class="dim">${escaped(caption)}</text>
${texts.filter((text) => text !== '').join('\n')}
</svg>
`;
}
