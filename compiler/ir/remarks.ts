/**
 * Optimisation remarks, after LLVM's: what a pass did about some values, or why it left them as they are, said where it was
 * decided. Passes take a sink that may be absent; `remarks?.missed(…)` then does not even build its text.
 */
import type { Node } from './types.ts';

export interface Remark {
  /** Who decided: a pass by its name, `merge`, `windows`, `in-place`, or `rule NAME`. */
  readonly by: string;
  readonly kind: 'applied' | 'missed';
  /** The value decided on first, then the others concerned. They are nodes of the graph that the pass saw. */
  readonly values: readonly Node[];
  readonly why: string;
}

export class Remarks {
  readonly list: Remark[];

  /** With what others remarked before. */
  constructor(before: readonly Remark[] = []) {
    this.list = [...before];
  }

  applied(by: string, values: readonly Node[], why: string): void {
    this.list.push({ by, kind: 'applied', values, why });
  }

  missed(by: string, values: readonly Node[], why: string): void {
    this.list.push({ by, kind: 'missed', values, why });
  }
}

/** A value in the user's words: its variable or parameter, else what computes it and where. */
export function labelOf(node: Node): string {
  const name = node.name ?? node.attrs.name;
  if (typeof name === 'string') return name;
  return `${node.origin ?? node.op}${node.loc ? ` at ${node.loc}` : ''}`;
}

/** `a, b and c`; of many, the first few. */
export function labelsOf(nodes: readonly Node[], most = 3): string {
  const counts = new Map<string, number>();
  for (const node of nodes) counts.set(labelOf(node), (counts.get(labelOf(node)) ?? 0) + 1);
  const all = [...counts].map(([label, count]) => (count > 1 ? `${count} × ${label}` : label));
  const labels = all.slice(0, most);
  if (all.length > most) return `${labels.join(', ')} and ${all.length - most} more`;
  return [labels.slice(0, -1).join(', '), ...labels.slice(-1)].filter(Boolean).join(' and ');
}
