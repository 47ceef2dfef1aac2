/** Guesses about misnamed tensors, for messages only: nothing is renamed by them. */

/** How many of each kind a message lists. */
const SHOWN = 8;
/** Guessing is quadratic: it looks at no more names than this, and no longer ones. */
const MAX_CANDIDATES = 300;
const MAX_NAME = 200;

interface Named {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A heading with the count, then the first few items, indented. Nothing for an empty list. */
export function listed<T>(heading: string, items: readonly T[], describe: (item: T) => string): string[] {
  if (items.length === 0) return [];
  const lines = [`  ${items.length} ${heading}:`, ...items.slice(0, SHOWN).map((item) => `    ${cut(describe(item))}`)];
  if (items.length > SHOWN) lines.push(`    … and ${items.length - SHOWN} more`);
  return lines;
}

/** Names come from the file: one line each, no control characters. */
function cut(text: string): string {
  const clean = text.replace(/[\u0000-\u001f\u007f]/g, '?');
  return clean.length > 2 * MAX_NAME ? clean.slice(0, 2 * MAX_NAME) + '…' : clean;
}

/** The prefix (ending in a dot) that, once stripped from most of `longer`, gives names in `shorter`. */
function prefixOver(
  longer: readonly string[],
  shorter: readonly string[],
): { text: string; count: number } | undefined {
  const wanted = new Set(shorter);
  const counts = new Map<string, number>();
  const every = Math.ceil(longer.length / MAX_CANDIDATES);
  for (let i = 0; i < longer.length; i += every) {
    const name = longer[i];
    for (let dot = name.indexOf('.'); dot >= 0 && dot < MAX_NAME; dot = name.indexOf('.', dot + 1)) {
      if (!wanted.has(name.slice(dot + 1))) continue;
      const prefix = name.slice(0, dot + 1);
      counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
    }
  }
  const text = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  if (text === undefined) return undefined;
  const count = longer.filter((name) => name.startsWith(text) && wanted.has(name.slice(text.length))).length;
  // Half of the unmatched names: below that it is a coincidence (`weight` ends many names).
  return count * 2 >= shorter.length ? { text, count } : undefined;
}

/** The prefix by which the file's unmatched names differ from the model's, if that explains most of them. */
export function commonPrefix(
  missing: readonly string[],
  extra: readonly string[],
): { side: 'file' | 'model'; text: string; count: number } | undefined {
  if (missing.length === 0 || extra.length === 0) return undefined;
  const file = prefixOver(extra, missing);
  if (file) return { side: 'file', ...file };
  const model = prefixOver(missing, extra);
  return model && { side: 'model', ...model };
}

/** Edits from one to the other, two letters in each other's place being one, or `limit` if it is not smaller. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    [before, row] = [row, next];
    if (Math.min(...before) >= limit && Math.min(...row) >= limit) return limit;
  }
  return Math.min(row[b.length], limit);
}

/** The most similar name of the same shape, if it is similar enough to be worth showing. */
export function nearest(wanted: Named, candidates: readonly Named[]): string | undefined {
  const sameShape = (c: Named) =>
    c.shape.length === wanted.shape.length && c.shape.every((n, i) => n === wanted.shape[i]);
  const possible = candidates.filter((c) => c.name.length <= MAX_NAME && sameShape(c)).slice(0, MAX_CANDIDATES);
  if (wanted.name.length > MAX_NAME) return undefined;
  let best: string | undefined;
  let limit = Math.ceil(wanted.name.length / 3);
  for (const candidate of possible) {
    const extended = candidate.name.endsWith(`.${wanted.name}`) || wanted.name.endsWith(`.${candidate.name}`);
    const d = extended ? 0 : distance(wanted.name, candidate.name, limit);
    if (d < limit) [best, limit] = [candidate.name, d];
  }
  return best;
}

/** The name that was probably meant, where names are all that is known. */
export const nearestName = (wanted: string, known: readonly string[]): string | undefined =>
  nearest(
    { name: wanted, shape: [] },
    known.map((name) => ({ name, shape: [] })),
  );
