/** The compiler as a text tool: passes by name, in any order, and what can be printed of the graphs they leave. */
import { differentiate } from './autodiff/differentiate.ts';
import { memoryText, regionsText } from './emit/listing.ts';
import { DitcError, nodesOf, printGraph, type Graph } from './ir/index.ts';
import { opDef, type OpKind } from './ops/index.ts';
import { compileGraphs } from './compile.ts';
import { attempt, type Emit } from './emit/reproducer.ts';
import { bundlesOf } from './fusion/bundles.ts';
import { FusionContext } from './fusion/context.ts';
import type { Fusion } from './fusion/group.ts';
import { fusionPasses, runFusion, unfused, type FusionPass } from './fusion/passes.ts';
import { printFused } from './fusion/print.ts';
import { verifyFusion } from './fusion/verify.ts';
import { pipeline, runPasses, schedule, type CompileOptions, type Pass } from './pipeline.ts';
import { allRules, applying } from './rewrite/recognise.ts';

/** A pass over graphs, or one over what shares a kernel. */
export type AnyPass = Pass | FusionPass;

export const isOfFusion = (pass: AnyPass): pass is FusionPass => 'of' in pass && pass.of === 'fusion';

/** Every pass there is, in the order that `ditc opt --list` shows. */
export const PASS_GROUPS: readonly { readonly title: string; readonly passes: readonly AnyPass[] }[] = [
  { title: 'The pipeline, in order', passes: pipeline },
  { title: 'Fusion, in order: what shares a kernel, after the pipeline', passes: fusionPasses },
  {
    title: 'Rules, one by one (recognise, join-linears and join-products apply them all)',
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
    ],
  },
];

export interface OptOptions extends Omit<CompileOptions, 'passes' | 'fusion'> {
  /** Those of fusion last. */
  readonly passes: readonly AnyPass[];
  readonly emit: Emit;
}

/** Runs the passes on each graph, and prints what is asked for of them all. `fusions`: those that the text has of them. */
export function optimise(
  graphs: readonly Graph[],
  options: OptOptions,
  fusions: ReadonlyMap<Graph, Fusion> = new Map(),
): string {
  const { emit, memory } = options;
  const fusing = options.passes.filter(isOfFusion);
  const passes = options.passes.filter((pass): pass is Pass => !isOfFusion(pass));
  checkOrder(options.passes, passes, fusions);
  const lowered = runPasses(graphs, { ...options, passes }).map(({ graph }) => graph);
  if (fusing.length || fusions.size) return lowered.map((graph) => fused(graph, fusing, options, fusions)).join('\n');
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

/** A graph and its groups, after some passes of fusion. */
function fused(
  graph: Graph,
  passes: readonly FusionPass[],
  { device, verify, emit, memory }: OptOptions,
  fusions: ReadonlyMap<Graph, Fusion>,
): string {
  checkPrimitive(graph);
  if (emit !== 'ir' || memory !== undefined) {
    const what = `--emit ${emit}${memory === undefined ? '' : ' --memory'} fuses by itself, from the graph alone`;
    throw new DitcError({ code: 'ir', what, fix: 'leave the passes of fusion out, or ask for --emit ir' });
  }
  const given = fusions.get(graph);
  const steps = { device, bundles: bundlesOf([graph], device) };
  if (given) verifyFusion(given, new FusionContext(graph, steps));
  const names = passes.map(({ name }) => name).join(',') || 'none';
  return attempt({ pass: names, device, verify, graphs: [graph] }, () =>
    printFused(runFusion(given ?? unfused(graph), { ...steps, passes, verify })),
  );
}

/** Fusion is of one graph: what changes that comes before. */
function checkOrder(all: readonly AnyPass[], passes: readonly Pass[], fusions: ReadonlyMap<Graph, Fusion>): void {
  const late = all.findLast((pass): pass is Pass => !isOfFusion(pass));
  const isLate = late && all.findIndex(isOfFusion) >= 0 && all.findIndex(isOfFusion) < all.indexOf(late);
  const [before] = passes;
  if (!isLate && !(before && fusions.size)) return;
  const what = isLate
    ? `the pass ${late.name} is of graphs, and comes after passes of fusion`
    : `the pass ${before.name} changes the graph that the text has a fusion of`;
  throw new DitcError({ code: 'ir', what, fix: 'first all passes of graphs, then those of fusion (ditc opt --list)' });
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
