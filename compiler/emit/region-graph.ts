/**
 * A region as a graph of its own: what one kernel computes, with what it reads from memory as inputs. The float64 interpreter
 * runs it from the very values a kernel got, and its text form is a test case.
 */
import { GraphBuilder, type Graph, type Node } from '../ir/index.ts';
import { opTable } from '../ops/index.ts';
import { bufferName } from '../plans/lower.ts';
import { boundType, operandsOf, type Region } from '../fusion/regions.ts';
import type { Span } from '../fusion/windows.ts';

/** Inputs are `operandsOf` the region in order, outputs its results. */
export function regionGraph(region: Region): Graph {
  const builder = new GraphBuilder(opTable);
  const operands = operandsOf(region);
  const names = unique(operands.map((node) => readable(bufferName(node))));
  const made = new Map<Node, Node>();
  const inputs: Node[] = [];
  operands.forEach((node, i) => {
    const { dtype, shape } = boundType(node, region);
    const input = builder.apply('input', [], { name: names[i], dtype, shape: [...shape] });
    input.loc ??= node.loc;
    inputs.push(input);
    made.set(node, whole(builder, input, node, region.spans.get(node)));
  });
  for (const node of region.members) {
    const given = node.inputs.map((operand) => made.get(operand)!);
    const member = builder.apply(node.op, given, node.attrs, node);
    member.origin ??= node.origin;
    made.set(node, member);
  }
  const results = region.results.map(({ node }) => node);
  const named = unique(results.map((node) => readable(bufferName(node))));
  const outputs = results.map((node, i) => ({ name: named[i], node: made.get(node)! }));
  return { name: readable(bufferName(region.root)), inputs, outputs, updates: [] };
}

/** A value of which only a stretch is there: the rest of it, which nobody reads, is zero. */
function whole(builder: GraphBuilder, input: Node, { type: { shape } }: Node, span?: Span): Node {
  if (!span) return input;
  const others = shape.slice(1).map(() => 0);
  const after = shape[0] - span.start - span.size;
  return builder.apply('pad', [input], { low: [span.start, ...others], high: [after, ...others], value: 0 });
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
