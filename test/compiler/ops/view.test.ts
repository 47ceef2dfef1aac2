/** The index map of every view's record, against its meaning: an element is where the map says, or the filler. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder, stridesOf, type Node } from '../../../compiler/ir/index.ts';
import {
  allOps,
  axesBehind,
  axisBehind,
  dot,
  fixedIndex,
  forEachIndex,
  Functional,
  IndexAlgebra,
  opDef,
  opTable,
  partedAxis,
  Random,
  viewOf,
  type Affine,
  type Atom,
  type Dense,
} from '../../../compiler/ops/index.ts';
import { drawValues, opCase } from '../../helpers/samples.ts';

/** Indices that are numbers. */
class Numbers extends IndexAlgebra<Atom> {
  constructor(private readonly values: ReadonlyMap<Node, Dense>) {
    super();
  }

  protected partOf(): never {
    throw new Error('a quotient of numbers is a number');
  }

  element(node: Node, index: readonly Affine<Atom>[], last: number): Affine<Atom> {
    const { data, shape } = this.values.get(node)!;
    return fixedIndex(
      Math.min(
        Math.max(
          data[
            dot(
              index.map(({ base }) => base),
              stridesOf(shape),
            )
          ],
          0,
        ),
        last,
      ),
    );
  }
}

function elementAt(node: Node, index: readonly number[], values: ReadonlyMap<Node, Dense>): number {
  const { sources, filler } = viewOf(node.op);
  const found = sources(new Numbers(values), index.map(fixedIndex), node);
  const holds = found.filter(({ index: at, bounds = [] }) =>
    bounds.every(({ axis, from, to = Infinity }) => at[axis].base >= from && at[axis].base < to),
  );
  const source = holds.at(-1);
  if (!source) return filler!(node.attrs);
  const shift = (axis: number) => source.bounds?.find((bounds) => bounds.axis === axis)?.from ?? 0;
  const { data, shape } = values.get(node.inputs[source.operand])!;
  const place = source.index.map(({ base }, axis) => base - shift(axis));
  expect(place.every((i, axis) => i >= 0 && i < shape[axis])).toBe(true);
  return data[dot(place, stridesOf(shape))];
}

const VIEWS = allOps().filter(({ kind }) => kind === 'view');

describe.each(VIEWS)('$name', ({ name, view }) => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('sample %i', (seed) => {
    const { sample, node } = opCase(opDef(name), seed);
    const random = new Random(seed);
    const inputs = sample.inputs.map((type, i) => ({ ...type, data: drawValues(random, type, sample.ranges?.[i]) }));
    const values = new Map(node.inputs.map((input, i) => [input, inputs[i]]));
    const out = opDef(name).reference(inputs, node.attrs, node.type);
    forEachIndex(node.type.shape, (index, flat) => expect(elementAt(node, index, values)).toBe(out.data[flat]));
    if (!view!.placeOf) return;
    const [x] = node.inputs;
    const numbers = new Numbers(values);
    forEachIndex(x.type.shape, (index, flat) => {
      const place = view!.placeOf!(numbers, index.map(fixedIndex), node).map(({ base }) => base);
      expect(out.data[dot(place, stridesOf(node.type.shape))]).toBe(inputs[0].data[flat]);
    });
  });
});

describe('where axes lead', () => {
  const f = new Functional(new GraphBuilder(opTable));
  const x = f.op('input', [], { name: 'x', dtype: 'f32', shape: [2, 12, 5] });

  it('through a reshape that joins them', () => {
    expect(axesBehind(f.reshape(x, [24, 5]), 0)).toEqual([0, 1]);
    expect(axesBehind(f.reshape(x, [24, 5]), 1)).toEqual([2]);
    expect(axesBehind(f.reshape(x, [2, 60]), 1)).toEqual([1, 2]);
  });

  it('not through one that cuts them', () => {
    expect(axesBehind(f.reshape(x, [2, 3, 4, 5]), 1)).toBeUndefined();
    expect(axisBehind(f.reshape(x, [2, 3, 4, 5]), 2)?.axis).toBe(1);
    expect(axisBehind(f.reshape(x, [2, 3, 4, 5]), 1)).toBeUndefined();
  });

  it('through transposes and broadcasts', () => {
    expect(axesBehind(f.permute(x, [2, 0, 1]), 2)).toEqual([1]);
    expect(axesBehind(f.broadcast(x, [7, 2, 12, 5]), 3)).toEqual([2]);
    expect(axesBehind(f.broadcast(x, [7, 2, 12, 5]), 0)).toBeUndefined();
  });

  it('parts of an operand, where a view has such parts too', () => {
    expect(partedAxis(f.reshape(x, [2, 3, 4, 5]), 1, 3)).toBe(1);
    expect(partedAxis(f.reshape(x, [2, 3, 4, 5]), 1, 2)).toBeUndefined();
    expect(partedAxis(f.reshape(x, [24, 5]), 0, 2)).toBe(0);
    expect(partedAxis(f.permute(x, [1, 0, 2]), 1, 4)).toBe(0);
  });
});
