/**
 * The faults of lists of digests, each as a sentence with a remedy.
 *
 * Guarantees: names from the list appear only if the list has a public address, because the text of another one may be a secret of
 * this network.
 */
import type { ChoiceFault } from './choose.ts';
import type { ListFault } from './list.ts';

/** Continues a sentence that begins with the URL of the list. */
export function explainFault(fault: ListFault | ChoiceFault, wanted: string, isPublic: boolean): string {
  const file = JSON.stringify(wanted);
  const shown = (names: readonly string[]) => names.map((name) => JSON.stringify(name)).join(', ');
  switch (fault.fault) {
    case 'bytes':
      return `is longer than ${fault.most} bytes, the limit for lists of digests`;
    case 'lines':
      return `has more than ${fault.most} lines, the limit for lists of digests`;
    case 'line':
      return `has a line of more than ${fault.most} characters, so it is no list of digests`;
    case 'notText':
      return 'is no text in UTF-8, so it is no list of digests';
    case 'html':
      return 'is a web page and no list of digests: name the file that the publisher signs or links, for example SHA256SUMS';
    case 'json':
      return 'is JSON and no list of digests: declare it as the index of the content';
    case 'empty':
      return 'is empty';
    case 'noDigests':
      return 'has no line with a digest in a known layout, such as the output of sha256sum';
    case 'signature':
      return `is signed text that cannot be read: ${fault.why}`;
    case 'absent': {
      const near = fault.near.length === 0 ? '' : `, but for example ${shown(fault.near)}`;
      return `has no digest for ${file}${isPublic ? near : ''}: correct fileName, or the URL of the list`;
    }
    case 'folders':
      return isPublic
        ? `has several files that ${file} may mean, with different digests: ${shown(fault.names.slice(0, 3))}. Name one of them in fileName`
        : `has several files that ${file} may mean, with different digests: name the folder in fileName`;
    case 'twoDigests':
      return fault.name === undefined
        ? 'has several digests and no names, so nothing shows which one is that of the file'
        : `has two different digests for ${file}, so nothing shows which one is right: only its publisher can correct it`;
    case 'length':
      return `has a value for ${file} whose length does not fit its algorithm: only its publisher can correct it`;
    case 'algorithm':
      return `has no sha256, sha384 or sha512 digest for ${file}, but one of another algorithm${isPublic ? ` (${fault.algorithm})` : ''}`;
    case 'bareAmongNames':
      return `has a digest without a name among others with names, so nothing shows that it is that of ${file}`;
    case 'unlike':
      return isPublic
        ? `has several files that match ${file} and differ in more than their version: ${shown(fault.names)}. Write a narrower pattern`
        : `has several files that match ${file} and differ in more than their version: write a narrower pattern`;
  }
}
