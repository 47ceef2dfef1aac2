/** Views of normalised rows as rows normalised where the views put them: the same values, in models that move rows about. */
import { describe, expect, it } from 'vitest';
import { layerNorm, linear, rmsNorm, type Tensor } from '../../../compiler/dsl/index.ts';
import { defineModel, traceEntry, type Model } from '../../../compiler/dsl/model.ts';
import { nodesOf, verify } from '../../../compiler/ir/index.ts';
import { interpret, opTable } from '../../../compiler/ops/index.ts';
import { rowViews } from '../../../compiler/rewrite/row-views.ts';
import { simplify } from '../../../compiler/rewrite/simplify.ts';
import { drawBindings } from '../../models/zoo.ts';
import { swin } from '../../models/zoo/swin.ts';

const SHAPE = [2, 4, 6, 8];

/** Rows of a picture, normalised, moved by `move`, and multiplied. */
const moving = (norm: (x: Tensor) => Tensor, move: (x: Tensor) => Tensor): Model =>
  defineModel({
    config: {},
    entries: {
      forward(e) {
        const x = e.input('x', SHAPE).mul(2);
        const scale = e.input('scale', [2, 1, 1, 8]);
        const rows = norm(x)
          .mul(e.params.param('weight', [8]))
          .add(scale);
        return { y: linear(move(rows), e.params.param('w', [5, 8])) };
      },
    },
  });

const centred = (x: Tensor) => x.sub(x.mean(-1, { keepDims: true }));

const MODELS: Record<string, Model> = {
  'windows and shifts': swin(),
  'transposed axes': moving(rmsNorm, (x) => x.permute(2, 0, 1, 3)),
  'every second row': moving(layerNorm, (x) => x.slice(1, 0, 4, 2).transpose(0, 1)),
  'a norm written out, in windows': moving(
    (x) => centred(x).div(centred(x).square().mean(-1, { keepDims: true }).add(1e-5).sqrt()),
    (x) => x.reshape(2, 2, 2, 3, 2, 8).permute(0, 1, 3, 2, 4, 5).reshape(2, 6, 4, 8),
  ),
};

describe.each(Object.entries(MODELS))('%s', (_name, model) => {
  it('are read before the norm, with the same result', () => {
    const graph = simplify(traceEntry(model, 'forward', { batch: 2 }).graph);
    const moved = verify(rowViews(graph), opTable);
    const isNorm = ({ op }: { op: string }) => op === 'layer_norm' || op === 'reduce_sum';
    const views = (g: typeof graph) => nodesOf(g).filter(({ inputs: [x], op }) => x && op !== 'mul' && isNorm(x));
    expect(views(moved).filter(({ op }) => ['permute', 'slice', 'concat'].includes(op))).toEqual([]);
    const bindings = drawBindings(graph);
    const [want, got] = [graph, moved].map((g) => interpret(g, bindings).outputs.y.data);
    want.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 9));
  });

  it('is something that the pass changes', () => {
    const graph = simplify(traceEntry(model, 'forward', { batch: 2 }).graph);
    const order = (g: typeof graph) => nodesOf(g).map(({ op }) => op).join(' '); // prettier-ignore
    expect(order(rowViews(graph))).not.toBe(order(graph));
  });
});
