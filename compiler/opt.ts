/** The compiler as a text tool: passes by name, in any order, and what can be printed of the graphs they leave. */
import { differentiate } from './autodiff/differentiate.ts';
import { memoryText, regionsText } from './emit/listing.ts';
import type { Emit } from './emit/reproducer.ts';
import { DitcError, nodesOf, printGraph, type Graph } from './ir/index.ts';
import { opDef, type OpKind } from './ops/index.ts';
import { compileGraphs } from './compile.ts';
import { lowering, pipeline, runPasses, schedule, type CompileOptions, type Pass } from './pipeline.ts';
import { allRules, applying } from './rewrite/recognise.ts';

/** Every pass there is, in the order that `ditc opt --list` shows. */
export const PASS_GROUPS: readonly { readonly title: string; readonly passes: readonly Pass[] }[] = [
  { title: 'The pipeline, in order', passes: pipeline },
  {
    title: 'Rules, one by one (recognise and join-products apply them all)',
    passes: allRules().map((rule) => ({ name: rule.name, doc: rule.equation, run: applying(() => [rule]) })),
  },
  {
    title: 'Others',
    passes: [
      {
        name: 'differentiate',
        doc: 'outputs d_x for each weight and float input x: gradients of the output `loss`, or of the only one',
        run: differentiate,
      },
      lowering(),
    ],
  },
];

export interface OptOptions extends CompileOptions {
  readonly passes: readonly Pass[];
  readonly emit: Emit;
}

/** Runs the passes on each graph, and prints what is asked for of them all. */
export function optimise(graphs: readonly Graph[], options: OptOptions): string {
  const lowered = graphs.map((graph) => runPasses(graph, options));
  const { emit, memory } = options;
  const rest = { ...options, passes: [] };
  if (emit !== 'ir' || memory !== undefined) lowered.forEach(checkPrimitive);
  if (emit === 'ir') {
    const fitted = memory === undefined ? lowered : lowered.map((graph) => schedule(graph, rest).graph);
    return fitted.map((graph) => printGraph(graph)).join('\n');
  }
  if (emit === 'wgsl') return [...compileGraphs(lowered, rest).wgsl.values()].join('\n');
  const text = emit === 'regions' ? regionsText : memoryText;
  return lowered.map((graph) => text(schedule(graph, rest))).join('\n');
}

/** Kernels compute primitive ops. */
function checkPrimitive(graph: Graph): void {
  const passFor: Partial<Record<OpKind, string>> = { composite: 'expand', request: 'gradients' };
  const node = nodesOf(graph).find(({ op }) => passFor[opDef(op).kind]);
  if (!node) return;
  const { kind } = opDef(node.op);
  const what = `@${graph.name}: ${node.op} is a ${kind} op, and no kernel computes it`;
  const fix = `add the pass ${passFor[kind]}, or leave out --passes`;
  throw new DitcError({ code: 'ir', where: node.loc, what, fix });
}
