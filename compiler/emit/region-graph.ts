/**
 * A region as a graph of its own: what one kernel computes, with what it reads from memory as inputs. The float64 interpreter
 * runs it from the very values a kernel got, and its text form is a test case.
 */
import { GraphBuilder, type Graph, type Node } from '../ir/index.ts';
import { opTable } from '../ops/index.ts';
import { bufferName } from '../kernel/lower.ts';
import type { Region } from '../schedule/regions.ts';

/** What a kernel reads: the operands of its bindings in order, then the value it overwrites in place, if any. */
export const operandsOf = ({ reads, replaces }: Region): readonly Node[] => (replaces ? [...reads, replaces] : reads);

/** Inputs are {@link operandsOf} in order; the one output is the region's root. */
export function regionGraph(region: Region): Graph {
  const builder = new GraphBuilder(opTable);
  const operands = operandsOf(region);
  const names = unique(operands.map((node) => readable(bufferName(node))));
  const made = new Map<Node, Node>();
  operands.forEach((node, i) => {
    const { dtype, shape } = node.type;
    const input = builder.apply('input', [], { name: names[i], dtype, shape: [...shape] });
    input.loc ??= node.loc;
    made.set(node, input);
  });
  for (const node of region.members) {
    const inputs = node.inputs.map((operand) => made.get(operand)!);
    const member = builder.apply(node.op, inputs, node.attrs, node);
    member.origin ??= node.origin;
    made.set(node, member);
  }
  const name = readable(bufferName(region.root));
  const inputs = operands.map((node) => made.get(node)!);
  return { name, inputs, outputs: [{ name, node: made.get(region.root)! }], updates: [] };
}

/** A name in the alphabet of the text form. */
const readable = (name: string): string => name.replace(/[^\p{L}\d_]/gu, '_').replace(/^(?=\d)/, '_');

function unique(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((base) => {
    let name = base;
    for (let i = 2; taken.has(name); i++) name = `${base}_${i}`;
    taken.add(name);
    return name;
  });
}
