/** The text form of a graph. print → parse → print is a fixpoint (test/compiler/ir). */
import { copyMark, graphKey, nodesOf } from './graph.ts';
import { formatType, isGraph, type AttrValue, type Attrs, type Graph, type Node } from './types.ts';

/** Constants longer than this print as base64 of their little-endian float64 bytes. */
const MAX_INLINE_DATA = 16;

interface PrintOptions {
  readonly locations?: boolean;
}

/** Prints the graphs among attributes: one that is as the last of its name was is told by its name. */
type Nested = (graph: Graph) => string;

export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  const nodes = nodesOf(graph);
  const names = nameNodes(nodes);
  const ref = (node: Node) => names.get(node)!;
  const print = { ref, nested: nesting(options), ...options };
  const lines = nodes.filter((n) => n.op !== 'input').map((n) => printNode(n, print));
  const signature = graph.inputs.map((n) => `${ref(n)}: ${formatType(n.type)}`).join(', ');
  const updates = graph.updates.map((u) => `  update ${ref(u.state)} = ${ref(u.node)}`);
  const returned = graph.outputs.map((o) => `${o.name} = ${ref(o.node)}`).join(', ');
  const part = graph.part ? `${graph.part.times} times before @${graph.part.of} ` : '';
  const head = `graph @${graph.name}(${signature}) ${part}{`;
  return [head, ...lines, ...updates, `  return ${returned}`.trimEnd(), '}', ''].join('\n');
}

function nesting(options: PrintOptions): Nested {
  const last = new Map<string, number>();
  return (graph) => {
    const key = graphKey(graph);
    if (last.get(graph.name) === key) return `@${graph.name}`;
    last.set(graph.name, key);
    return printGraph(graph, options).trimEnd().replaceAll('\n', '\n  ');
  };
}

/** How a graph's values print: `%q`, and the line `%q = matmul %x, %w : f32[2,3]`. */
export function nodePrinter(graph: Graph): { ref(node: Node): string; line(node: Node): string } {
  const names = nameNodes(nodesOf(graph));
  const ref = (node: Node) => names.get(node)!;
  const nested = ({ name }: Graph) => `@${name}`;
  return { ref, line: (node) => printNode(node, { ref, nested, locations: false }).trimStart() };
}

function printNode(
  node: Node,
  { ref, nested, locations = true }: PrintOptions & { readonly ref: (n: Node) => string; readonly nested: Nested },
): string {
  const operands = node.inputs.map(ref).join(', ');
  const attrs = printAttrs(node.attrs, nested);
  const head = [`  ${ref(node)} =`, node.op + copyMark(node.copy), operands, attrs].filter(Boolean).join(' ');
  const line = `${head} : ${formatType(node.type)}`;
  return locations && node.loc ? `${line}  @ ${node.loc}` : line;
}

function printAttrs(attrs: Attrs, nested: Nested): string {
  const keys = Object.keys(attrs).sort();
  return keys.length ? `{${keys.map((k) => `${k} = ${printAttr(attrs[k], nested)}`).join(', ')}}` : '';
}

function printAttr(value: AttrValue, nested: Nested): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (isGraph(value)) return nested(value);
  if (value instanceof Float64Array) {
    return value.length <= MAX_INLINE_DATA
      ? `data[${Array.from(value, printNumber).join(', ')}]`
      : `data"${base64(value)}"`;
  }
  if (Array.isArray(value)) return `[${value.map(printNumber).join(', ')}]`;
  return typeof value === 'number' ? printNumber(value) : String(value);
}

const printNumber = (x: number): string => (Object.is(x, -0) ? '-0' : String(x));

function base64(data: Float64Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
}

/**
 * `%q`, `%q.1`, … from the user's variables and the names of weights; `%0`, `%1`, … for values without a name. Inputs
 * come first and keep their names to the letter, because the parser reads an input's name from its value.
 */
export function nameNodes(nodes: readonly Node[]): Map<Node, string> {
  const names = new Map<Node, string>();
  const taken = new Set<string>();
  const next = new Map<string, number>();
  const give = (node: Node, name: string) => {
    names.set(node, name);
    taken.add(name);
  };
  for (const node of nodes) if (node.op === 'input') give(node, `%${String(node.attrs.name)}`);
  let unnamed = 0;
  for (const node of nodes) {
    if (node.op === 'input') continue;
    const base = valueName(node);
    let count = next.get(base) ?? 0;
    let name: string;
    do {
      if (base) name = count ? `%${base}.${count}` : `%${base}`;
      else name = `%${unnamed++}`;
      count++;
    } while (taken.has(name));
    next.set(base, count);
    give(node, name);
  }
  return names;
}

/** A name in the text form's alphabet that ends in no `.1`, which would read as the count of a repeated name. */
function valueName(node: Node): string {
  const own = node.op === 'param' || node.op === 'state' ? String(node.attrs.name) : (node.name ?? '');
  return own
    .replace(/[^\p{L}\d_.$]/gu, '_')
    .replace(/^(?=\d)/, '_')
    .replace(/\.(\d+)$/, '_$1');
}
