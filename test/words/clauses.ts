/**
 * Finds clauses that serve as the subject of a sentence: "What is declared is compared", "Whoever reads it waits".
 *
 * A heading or a comment such as "What a list is about" is a noun phrase and passes: a clause is a subject if a second verb
 * follows it. Questions pass, too.
 */

export interface Found {
  readonly offset: number;
  readonly match: string;
}

const opening =
  /(?:^\s*|\n[^\S\n]*(?:\n[^\S\n]*)+(?:[-*>]\s+)?|(?<=[.;:!?|])\s+|,\s+(?:and|but|or|so)\s+|\b(?:because|since|so that|and that|if|while|when)\s+)((?:what|who|whoever|whatever|that which)\s+(?!if\b)[^.;:!?|]*)(?=([.;:!?|]?))/gi;

const linking = /^(?:is|are|was|were|has|have|had|can|cannot|may|might|must|will|would|should|could|does|do|did)$/i;
const verb =
  /^(?:goes|went|stays|stayed|remains|becomes|became|comes|came|counts|ends|gets|got|takes|took|makes|made|needs|waits|holds|held|fails|follows|lies|belongs|leaves|keeps|kept|happens|happened|says|said|tells|told|shows|showed|gives|gave|works|wins|costs|moves|runs|ran|reads|writes|waits|sees|saw|knows|knew|wants|asks|depends|means|matters|lets|puts|sets|uses|starts|begins)$/i;

/** Where the clause ends although its sentence goes on: what follows has a subject of its own. */
const next = /,\s+(?:and|but|so|or|for|with|because|where|while|which|who|though|although|if|when|unless|as)\s/i;

export function clauseSubjects(text: string): Found[] {
  return [...text.matchAll(opening)].flatMap((match) => {
    const [whole, clause = '', end] = match;
    if (end === '?') return [];
    const subject = clause.split(next)[0] ?? clause;
    if (!/^(?:whoever|that\s+which)/i.test(subject) && verbGroups(subject) < 2) return [];
    return [{ offset: match.index + whole.indexOf(clause), match: subject.trim().replace(/\s+/g, ' ') }];
  });
}

/** Verbs that stand alone; "has been" and "may be" are one. */
function verbGroups(clause: string): number {
  const parts = clause.split(/\s+/).map((word) => word.replace(/[^\w']/g, ''));
  let groups = 0;
  let previous = false;
  let before = '';
  for (const part of parts) {
    const isVerb = linking.test(part) || verb.test(part);
    // "What Glance holds is right" has two verbs side by side.
    if (isVerb && (!previous || (verb.test(before) && linking.test(part)))) groups += 1;
    before = part;
    previous = isVerb || (previous && /^(?:not|never|always|also|only|and|or)$/i.test(part));
  }
  return groups;
}
