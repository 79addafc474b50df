/** What the pages show in YAML. */
import { parseAllDocuments } from 'yaml';

/** The objects in the YAML blocks of a page, in their order. */
export function yamlBlocks(page: string): unknown[] {
  return [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) =>
    parseAllDocuments(block).map((document) => document.toJS()),
  );
}
