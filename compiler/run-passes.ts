/** Sends graphs through passes. What one finds wrong with a graph is saved as a text that `ditc opt` finds it by again. */
import { attempt } from './emit/reproducer.ts';
import type { Graph } from './ir/index.ts';
import { verify } from './ir/verify.ts';
import { opTable } from './ops/index.ts';
import type { CompileOptions, Pass } from './options.ts';
import { isOfModel, type GraphPass, type ModelContext, type ModelPass } from './rewrite/pass.ts';
import type { PlanningContext } from './fusion/graph-pass.ts';

/** A graph after passes, and what it was before those that rewrite it. */
export interface Passed {
  readonly graph: Graph;
  readonly traced: Graph;
}

/** Sends the graphs of a model through the passes, each pass through all of them before the next. */
export function sendThrough(
  passes: readonly Pass[],
  graphs: readonly Graph[],
  options: CompileOptions,
  remarksOn?: RemarksOn,
): readonly Passed[] {
  const { onPass } = options;
  graphs.forEach((graph) => onPass?.('trace', graph));
  const traced = graphs.map((graph): Passed => ({ graph, traced: graph }));
  return passes.reduce<readonly Passed[]>((before, step) => {
    const after = isOfModel(step)
      ? runOnAll(step, before, options, remarksOn)
      : runOnEach(step, before, options, remarksOn);
    after.forEach(({ graph }) => onPass?.(step.name, graph));
    return after;
  }, traced);
}

export type RemarksOn = ModelContext['remarksOn'];

function runOnEach(
  { name, run }: GraphPass<PlanningContext>,
  passed: readonly Passed[],
  options: CompileOptions,
  remarksOn?: RemarksOn,
) {
  const { device, plan, verify: checked } = options;
  return passed.map(({ graph, traced }): Passed => {
    const made = attempt({ pass: name, device, verify: checked, graphs: [graph] }, () =>
      verified([run(graph, { device, plan, remarks: remarksOn?.(graph) })], options),
    );
    return { graph: made[0], traced };
  });
}

function runOnAll(
  { name, run, divides }: ModelPass,
  passed: readonly Passed[],
  options: CompileOptions,
  remarksOn?: RemarksOn,
) {
  const { device, verify: checked } = options;
  const graphs = passed.map(({ graph }) => graph);
  const made = attempt({ pass: name, device, verify: checked, graphs }, () =>
    verified(run(graphs, { device, remarksOn }), options),
  );
  const before = new Map(passed.map(({ graph, traced }) => [graph.name, traced]));
  return made.map((graph): Passed => ({
    graph,
    traced: divides && !graphs.includes(graph) ? graph : before.get(graph.name)!,
  }));
}

const verified = (graphs: readonly Graph[], { verify: checked }: CompileOptions): readonly Graph[] =>
  checked ? graphs.map((graph) => verify(graph, opTable)) : graphs;
