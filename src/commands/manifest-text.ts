/**
 * The text of a manifest, and the name of its resource.
 *
 * Guarantees: kubectl reads every text as it was, whatever it looks like: a number of Go, a merge key, a line break of Unicode. No control
 * or format character is written as itself.
 */
import { Document, Scalar, type Tags, visit } from 'yaml';
import { escapedText, isPlain } from '../lib/text.ts';

/** What kubectl reads as a number, and YAML 1.1 does not, such as `0o17`, `0X1F`, `0b-1` and `1e_3`. It drops each `_` first. */
const numberOfGo = /^[-+]?(?:0[xob][-+]?[\da-f.]*(?:p[-+]?\d*)?|\.?\d[\d.]*(?:e[-+]?\d*)?)$/i;

const mergeKey = '<<';

/** A key of that name is a text here. The tag of merge keys writes it without quotes. */
function withoutMerge(tags: Tags): Tags {
  return tags.filter((tag) => (typeof tag === 'string' ? tag !== 'merge' : tag.tag !== 'tag:yaml.org,2002:merge'));
}

export function manifestText(manifest: unknown): string {
  const document = new Document(manifest, { version: '1.1', customTags: withoutMerge });
  visit(document, {
    Scalar(_, node) {
      const { value } = node;
      if (typeof value !== 'string') return;
      if (value === mergeKey || !isPlain(value) || numberOfGo.test(value.replaceAll('_', '')))
        node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  // Such characters are in double quotes only.
  return escapedText(document.toString({ lineWidth: 0 }), 'yaml');
}

export const longestName = 63;

/** Made of `text`, as Kubernetes admits it; empty where nothing of it can be in a name. */
export function resourceName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, '-')
    .replace(/[-.]*\.[-.]*/g, '.')
    .slice(0, longestName)
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
}
