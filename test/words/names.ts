/**
 * Whether the name of a test stands alone: a line of a CI log shows it without the `describe` around it.
 *
 * A name passes if it has at least four words, begins with a subject, and has a verb. The checks are heuristics: they find
 * fragments, not bad sentences. A name that begins with a placeholder is left to the table that fills it.
 */

/** Begins a fragment whose subject is in the `describe`: a verb, a conjunction, or a pronoun without a noun. */
const fragments = new Set(
  `is are was were has have had can cannot may might must will would should could does do did be
  and or but nor that which who whom whose it its itself they them their he she this these those so than then to
  stays stay holds hold keeps keep goes go comes come ends end gives give takes take makes make gets get lets let
  reads writes sends receives waits begins starts stops runs works says shows tells knows needs names lists counts calls
  accepts rejects refuses allows denies fails passes throws returns reports rests leaves lies leads loses wins finds looks
  adds removes deletes creates updates changes replaces restores repairs sets puts moves opens closes cuts drops hides
  asks answers responds follows hands carries brings belongs breaks builds checks compares computes covers decides declares
  decompresses detects differs distinguishes does draws empties escapes explains extends fills fits forgets forms
  grants groups ignores includes installs joins judges limits loads locks logs maps marks matches measures merges
  mistakes notices numbers obeys outlives overwrites parses picks prefers prevents prints protects publishes quotes reaches
  recognises records recovers refers releases remembers renders renews repeats requests requires resumes retries reuses
  rounds saves searches selects separates serves signs skips sorts spends splits stands starves survives
  tolerates treats tries turns uses validates verifies vouches warns withstands wraps yields remember list share`.split(
    /\s+/,
  ),
);

/** A sentence may open with these if its subject follows behind a comma or a colon does not. */
const openings = new Set(
  `when where while after before during with without at in for by of on from as if once until unless through under within
  among between against about over because although though despite since whatever wherever whenever`.split(/\s+/),
);

/** Plural nouns that are also verbs: "names are only data" is a sentence, "names the key" is not. */
const nouns =
  /^(?:names|lists|limits|marks|numbers|measures|maps|logs|records|forms|groups|rounds|changes|checks|calls|counts|sizes|reads|writes|requests|needs|stores|matches|signs|prints|covers|ends|starts|stops|runs|works|holds)\s+(?:that|in|of|for|with|without|from|to|are|were|have|may|must|can|become|follow|stay|exist|during|after|before)\b/i;

const pronouns =
  /^(?:one|another|both|neither|either|some|all|none|others?)\s+(?:that|which|who|whose|of it|is|are|was|were|has|can|may|with|without|and|by|in)\b/i;

const verb =
  /^(?:is|are|was|were|be|been|has|have|had|can|cannot|may|might|must|will|would|should|could|do|does|did|[a-z-]+(?:[^s]s|ed)|.*n't)$/i;
const irregular = new Set(
  `x go come stay hold keep end give take make get let read write send wait begin start stop run work say show need count call
  accept reject allow deny fail pass throw return report leave lie lead lose win find look add remove delete create update
  change replace restore set put move open close cut drop hide follow carry bring break build check compare decide differ
  know share serve win became began broke came gave got held kept left lost made ran said sent stood took went wrote lay
  become meet reach speak stand exit match agree belong expire remain name list log use survive converge cover retry receive`.split(
    /\s+/,
  ),
);

/** Why a name does not stand alone; undefined if it does. */
export function problemOfName(name: string): string | undefined {
  const words = name.trim().split(/\s+/);
  const [first = ''] = words;
  if (first.startsWith('X') && (first === 'X' || /^X\W/.test(first))) return undefined;
  if (words.length < 4) return 'has fewer than four words';
  const start = first.toLowerCase().replace(/[^\w]+$/, '');
  if (fragments.has(start) && !nouns.test(name.trim())) return 'begins without a subject';
  if (pronouns.test(name.trim())) return 'begins with a pronoun that needs its describe';
  if (openings.has(start) && !/, (?!(?:it|they|those) )/.test(name)) return 'has no main clause with a noun as subject';
  if (/^of (?:which|whose)\b/i.test(name.trim())) return 'begins with a relative clause';
  const rest = words.slice(1).map((word) => word.replace(/[^\w'-]+$/, '').toLowerCase());
  if (!rest.some((word) => verb.test(word) || irregular.has(word))) return 'has no verb';
  return undefined;
}
