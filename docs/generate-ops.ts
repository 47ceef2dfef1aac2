/** Writes docs/ops.md from the op records: `npx tsx docs/generate-ops.ts`. test/compiler/ops/docs.test.ts fails when it is stale. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GraphBuilder, printGraph, type Graph, type Node } from '../compiler/ir/index.ts';
import { allOps, Functional, opTable, Random, type OpDef, type OpKind } from '../compiler/ops/index.ts';

const KINDS: Record<OpKind, [title: string, about: string]> = {
  leaf: ['Leaves', 'Buffers that come from outside the graph, and literals.'],
  pointwise: [
    'Pointwise',
    'One element of the result from one element of each operand. Operands broadcast as in NumPy. Any kernel can absorb them, before or after its own work.',
  ],
  view: [
    'Views',
    'Each element of the result is one element of an operand (or a fixed value), found by index arithmetic. They cost a kernel nothing but the arithmetic.',
  ],
  reduce: ['Reductions', 'Reduced axes stay, with size 1.'],
  contract: ['Contraction', 'Where the multiply-accumulates are.'],
  composite: [
    'Composites',
    'Named so that rules and reports see them; what no rule has used is expanded into the ops above before scheduling. The gradient is that of the whole.',
  ],
  request: ['Requests', 'What a pass computes from the whole graph, and puts in its place.'],
};

export function opsMarkdown(): string {
  const kinds = Object.keys(KINDS) as OpKind[];
  return [
    '# Ops',
    '',
    '<!-- Written by docs/generate-ops.ts from the records in compiler/ops. Do not edit. -->',
    '',
    'The op set of the graph IR. Each op is one record in `compiler/ops`: this page, the verifier, the interpreter, the',
    'gradient check, the fuzzer and the MAC count are read from it. The examples are cases drawn by the records’ own samplers.',
    '',
    ...kinds.flatMap((kind) =>
      section(
        kind,
        allOps().filter((def) => def.kind === kind),
      ),
    ),
  ].join('\n');
}

function section(kind: OpKind, ops: OpDef[]): string[] {
  const [title, about] = KINDS[kind];
  const rows = ops.map((def) => `| [\`${def.name}\`](#${def.name}) | ${escape(def.doc)} | ${gradientMark(def)} |`);
  const table = ['| op | meaning | gradient |', '|---|---|---|', ...rows];
  return [`## ${title}`, '', about, '', ...table, '', ...ops.flatMap(entry)];
}

const escape = (text: string): string => text.replaceAll('|', '\\|');
const gradientMark = (def: OpDef): string => (def.gradient === 'none' ? '–' : 'yes');

function entry(def: OpDef): string[] {
  const { f, node, inputs, text } = example(def);
  const lines = [`### ${def.name}`, '', def.doc, '', ...(def.note ? [def.note, ''] : []), '```', text, '```', ''];
  if (def.wgsl) {
    const operands = inputs.map((n) => String(n.attrs.name));
    const code = def.wgsl.expression(operands, {
      output: node.type.dtype,
      inputs: inputs.map(({ type }) => type.dtype),
      attrs: node.attrs,
    });
    lines.push(`WGSL of one element: \`${code}\``, '');
  }
  if (def.expand) {
    const expanded = def.expand(f, inputs, node.attrs, node.type);
    lines.push('Expands to', '', '```', body(inputs, expanded), '```', '');
  }
  return lines;
}

/** The first case of the op's sampler whose operands are neither scalars nor long. */
function example(def: OpDef) {
  for (let seed = 1; ; seed++) {
    const sample = def.sample(new Random(seed));
    const f = new Functional(new GraphBuilder(opTable));
    const inputs = sample.inputs.map(({ dtype, shape }, i) => {
      return f.op('input', [], { name: 'xyzuvwrst'[i], dtype, shape });
    });
    const node = f.op(def.name, inputs, sample.attrs);
    const shapes = [...sample.inputs, node.type].map((type) => type.shape);
    const fits = shapes.every((shape) => shape.length <= 3) && shapes.some((shape) => shape.length >= 1);
    const longData = node.attrs.data instanceof Float64Array && node.attrs.data.length > 6;
    if ((fits && !longData) || seed > 200) return { f, node, inputs, text: body(inputs, node) };
  }
}

/** The graph's text without its frame of braces: signature and nodes. */
function body(inputs: readonly Node[], node: Node): string {
  const listed = node.op === 'input' ? [node] : inputs;
  const graph: Graph = { name: 'example', inputs: listed, outputs: [{ name: 'out', node }], updates: [] };
  return printGraph(graph).trimEnd();
}

const target = fileURLToPath(new URL('ops.md', import.meta.url));
if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(target, opsMarkdown());
