/**
 * Which share of the loads in a product's loop over the depth is of neither operand: of what lies in other buffers than the two that are
 * read most, and in theirs beyond them nothing can be.
 */
export function loadsBeyond(wgsl: string): number | undefined {
  const loop = /\n( *)for \(var t\w* = [\s\S]*?\n\1\}/.exec(wgsl)?.[0];
  if (!loop) return undefined;
  const buffers = [...wgsl.matchAll(/var<storage, \w+> (\w+): /g)].map(([, name]) => name);
  const counts = buffers.map((name) => [...loop.matchAll(new RegExp(`\\b${name}\\[`, 'g'))].length);
  const all = counts.reduce((sum, count) => sum + count, 0);
  const [first = 0, second = 0] = counts.sort((a, b) => b - a);
  return all ? (all - first - second) / all : 0;
}
