/**
 * The words and phrases that this project avoids, and what it writes instead.
 *
 * Invariant: a pattern names a use, not a word, where the word is also ordinary English or a term of the field. A space in a
 * pattern matches any white space; patterns ignore case and match whole words.
 */

export interface Rule {
  readonly id: string;
  readonly pattern: RegExp;
  readonly instead: string;
}

function rule(id: string, pattern: string, instead: string): Rule {
  return { id, pattern: new RegExp(String.raw`\b(?:${pattern})\b`.replaceAll(' ', String.raw`\s+`), 'gi'), instead };
}

const machine =
  '(?:servers?|glance|keystone|kubernetes|clusters?|clouds?|stores?|sources?|prox(?:y|ies)|headers?|requests?|responses?|catalog|gateways?)';

export const rules: readonly Rule[] = [
  // Personification
  rule('tell', 'tells?|told|telling', 'report, notify, show, distinguish'),
  rule('hear', 'hears?|heard|hearing', 'be notified, receive'),
  rule('news', 'news', 'change, event, update'),
  rule(
    'words',
    "in (?!other )(?:[\\w']+ )?words(?! (?:or|and) numbers)|(?:the|these|those|its|their|whose|our|own|\\w+'s) words|words (?:of|from|that)|(?<!(?:other|key|reserved)\\s)words(?=,? and )|(?:status|reason|code)(?:,| and) words|without words|by its own word",
    'error message, message, text',
  ),
  rule('nobody', 'nobody|everybody|somebody|anybody|whoever', 'the client, another user, nothing, anyone who'),
  rule(
    'says',
    `${machine} (?:says|said|speaks|spoke|thinks|thought|believes|promises|promised|complains|lies|lied)`,
    'reports, returns, responds',
  ),
  rule(
    'ask a machine',
    `ask(?:s|ed|ing)? (?:a |an |the |its |each |every |another )?(?:API )?${machine}`,
    'request, query, call, read',
  ),
  rule(
    'is asked',
    '(?:is|are|was|were|be|been|being) (?:not |never |always |then |only |first |still |no longer )?asked(?! for)',
    'is requested, is queried, is read',
  ),
  rule(
    'turn',
    '(?:its|their|his|whose) turns?|by turns(?! (?:on|off|out|into))|turns? of the story|waits? for (?:its|their|a|the) turn',
    'slot, order, round',
  ),
  rule(
    'last breath',
    'last breath|belt (?:beside|and braces)|born|no stir|makes? a stir',
    'plain words for what happens',
  ),
  rule('looks after', 'look(?:s|ed|ing)? after', 'manage, watch'),
  // Archaisms
  rule('shall', 'shall', 'must, will'),
  rule('anew', 'anew', 'again'),
  rule('mend', 'mend(?:s|ed|ing)?', 'fix, repair, correct'),
  rule('befall', 'befall(?:s|en|ing)?|befell', 'happen to, affect'),
  rule('for ever', 'for ever|forever', 'indefinitely, permanently, without limit'),
  rule('beside', 'besides?', 'next to, in addition to, apart from'),
  rule('of late', 'of late', 'recently'),
  rule('be gone', 'be gone', 'be deleted, exit'),
  rule('come to rest', 'com(?:e|es|ing) to rest|came to rest', 'converge'),
  rule('for want of', 'for want of|for lack of', 'because of missing, without'),
  rule('well or ill', 'well or ill|in earnest|unsound|sound images?', 'success or failure, in production, malformed'),
  rule('belongs into', 'belongs? into', 'goes into, belongs in'),
  rule('give up', 'never gives? up', 'never aborts'),
  // Private terms
  rule('lane', 'lanes?', 'flow'),
  rule('deed', 'deeds?', 'step'),
  rule('tally', 'tall(?:y|ies)', 'counter'),
  rule('means', '(?:the|its|their|our|all|of|these|those) means(?! (?:of|to|that))', 'step context'),
  rule('uncopy', 'uncop(?:y|ies|ied|ying)', 'remove from the store'),
  rule('facts', 'facts', 'reconcile report, observations'),
  rule('happenings', 'happenings?', 'events'),
  rule('consequence', 'consequences?', 'failure action, reaction'),
  rule('pursue', 'pursu(?:e|es|ed|ing|it)', 'reconcile'),
  rule('pass', '(?:a|the|this|that|each|every|next|first|last|per|same|whole|rest of the) pass', 'reconcile, run'),
  rule(
    'look',
    '(?:a|the|each|every|first|next|last|one|this|fresh|later|second) looks?(?! like)',
    'get, read, reconcile',
  ),
  rule('sighting', 'sightings?', 'cache entry, observation'),
  rule('judge', 'judg(?:e|es|ed|ing|ement|ements|ment|ments)', 'classify, check, decide'),
  rule('arrival', 'the arrivals?(?: (?:of|is|was|has|that))', 'upload verification'),
  rule('leaves open', 'leaves? (?:it )?open', 'outcome unknown'),
  rule('answer', 'answer(?:s|ed|ing|able)?|unanswered', 'response, respond'),
  rule(
    'refuse',
    '(?<!connections?\\s(?:(?:is|was|are|were)\\s)?)refus(?:e|es|ed|ing|al|als)(?! connections?)',
    'reject, rejection',
  ),
  rule('unwelcome', 'unwelcome', 'authentication failed'),
  rule('patience', 'patience(?:asked)?|impatient|patient(?:ly)?', 'Retry-After, pause'),
  rule('patchwork', 'patchwork', 'spliced file'),
  rule('preface', 'prefaces?', 'sniff, first bytes'),
  rule(
    'silence',
    'silences?|(?:is|are|was|were|be|been|stays?|goes|falls?|fell|went) silent',
    'idle timeout, no data, not responding',
  ),
  rule('story', 'stor(?:y|ies)', 'history, sequence of events'),
  rule('Law', 'laws?(?=:)', 'Invariant:, Guarantees:'),
];
