/** Rows normalised alike and then joined, as rows joined and then normalised: the same values. */
import { describe, expect, it } from 'vitest';
import { concat, layerNorm, rmsNorm, softmax, type Tensor } from '../../../compiler/dsl/index.ts';
import { defineModel, traceEntry, type Model, type Scope } from '../../../compiler/dsl/model.ts';
import { nodesOf, verify, type Graph } from '../../../compiler/ir/index.ts';
import { interpret, opTable } from '../../../compiler/ops/index.ts';
import { joinedRows } from '../../../compiler/rewrite/joined-rows.ts';
import { simplify } from '../../../compiler/rewrite/simplify.ts';
import { drawBindings } from '../../models/zoo.ts';
import { mmdit } from '../../models/zoo/mmdit.ts';

/** Parts of some numbers of rows, each through `part`, joined. */
const joining = (rows: readonly number[], part: (p: Scope, x: Tensor, e: Tensor) => Tensor): Model =>
  defineModel({
    config: {},
    entries: {
      forward(e) {
        const shared = e.input('shared', [6]);
        const parts = rows.map((n, i) => part(e.params.at(`part${i}`), e.input(`x${i}`, [2, n, 6]), shared));
        return { x: concat(parts, 1) };
      },
    },
  });

const MODELS: Record<string, Model> = {
  'queries and keys of two streams': mmdit(),
  'weights of each part': joining([3, 1, 4], (p, x) => rmsNorm(x).mul(p.param('weight', [6]))),
  'a number for each row, and a row for all': joining([2, 3], (p, x, shared) =>
    layerNorm(x.mul(p.param('scale', [x.shape[1], 1]))).add(shared),
  ),
  'weights that sum up to one': joining([2, 5], (p, x) => softmax(x.mul(p.param('temperature', [])))),
};

const norms = (graph: Graph) => nodesOf(graph).filter(({ op }) => /layer_norm|softmax|reduce/.test(op)).length; // prettier-ignore

describe.each(Object.entries(MODELS))('%s', (_name, model) => {
  it('are normalised together', () => {
    const graph = simplify(traceEntry(model, 'forward', { batch: 2 }).graph);
    const joined = verify(joinedRows(graph), opTable);
    expect(norms(joined)).toBeLessThan(norms(graph));
    const bindings = drawBindings(graph);
    const [want, got] = [graph, joined].map((g) => interpret(g, bindings).outputs.x.data);
    want.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 9));
  });
});
