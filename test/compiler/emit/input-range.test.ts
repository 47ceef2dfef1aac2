/** Which values of an input are rows of what it chooses from, through the model's own algebra. */
import { describe, expect, it } from 'vitest';
import { concat, constant, defineModel, normal, where, type Entry, type Tensor } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { inputRanges, inputSpecs } from '../../../compiler/emit/input-range.ts';

type Use = (e: Entry, y: Tensor, rows: (n: number, index: Tensor) => Tensor) => Tensor;

function rangeOf(use: Use, dtype: 'i32' | 'u32' = 'i32') {
  const model = defineModel({
    config: {},
    entries: {
      f(e) {
        let tables = 0;
        const rows = (n: number, index: Tensor) => e.params.param(`table${tables++}`, [n, 2], normal(1)).gather(index);
        return { out: use(e, e.input('y', [4], dtype), rows) };
      },
    },
  });
  return inputRanges(traceEntry(model, 'f', { batch: 1 }).graph).get('y');
}

describe('the range of an input that chooses rows', () => {
  const dropped: Use = (e, y, rows) => rows(11, where(e.input('drop', [4]).gt(0.5), constant(10, [], 'i32'), y));
  const mask = (e: Entry) => e.input('mask', [4], 'bool');
  const cases: [string, Use, [number, number] | undefined][] = [
    ['is that of the table', (_e, y, rows) => rows(10, y), [0, 10]],
    ['passes views', (_e, y, rows) => rows(10, concat([y.reshape(2, 2), y.reshape(2, 2)], 0)), [0, 10]],
    ['passes casts', (_e, y, rows) => rows(10, y.cast('u32')), [0, 10]],
    ['passes a choice that others make', dropped, [0, 11]],
    ['is shifted with the index', (_e, y, rows) => rows(10, y.add(1)), [-1, 9]],
    ['is of the smaller of two tables', (_e, y, rows) => rows(10, y).add(rows(7, y)), [0, 7]],
    [
      'is of the larger one where parts of it go to each',
      (_e, y, rows) => rows(10, y.slice(0, 0, 2)).add(rows(7, y.slice(0, 2, 4))),
      [0, 10],
    ],
    ['ends at nothing where the model clamps', (_e, y, rows) => rows(10, y.clamp(0, 9)), undefined],
    ['has one end where the model clamps the other', (_e, y, rows) => rows(10, y.maximum(0)), [-(2 ** 31), 10]],
    [
      'is open where the model looks at it first',
      (_e, y, rows) => rows(10, where(y.ge(0), y, constant(0, [], 'i32'))),
      undefined,
    ],
    [
      'is open where padding behind a mask is clamped',
      (e, y, rows) => rows(10, where(mask(e), y, 0).clamp(0, 9)),
      undefined,
    ],
    ['is open where it chooses nothing', (_e, y) => y.add(1), undefined],
  ];
  it.each(cases)('%s', (_name, use, range) => expect(rangeOf(use)).toEqual(range));

  it('begins at 0 for an unsigned input', () => expect(rangeOf((_e, y, rows) => rows(10, y), 'u32')).toEqual([0, 10]));
});

describe('an input of classes', () => {
  const specOf = (build: (e: Entry) => Tensor) => {
    const model = defineModel({ config: {}, entries: { f: (e) => ({ out: build(e) }) } });
    const { graph, classes } = traceEntry(model, 'f', { batch: 1 });
    return inputSpecs(graph, classes)[0];
  };
  const labels = (e: Entry) => e.input('y', [4], 'i32', { classes: 5 });
  const spec = { name: 'y', shape: [4], dtype: 'i32', classes: 5, range: [0, 5] };

  it('takes the classes, though the table has one row more', () => {
    expect(specOf((e) => e.params.param('table', [6, 2], normal(1)).gather(labels(e)))).toEqual(spec);
  });
  it('takes the classes where it chooses nothing', () => expect(specOf((e) => labels(e).add(1))).toEqual(spec));
  it('takes rows of a smaller table only', () => {
    const range = [0, 3];
    expect(specOf((e) => e.params.param('table', [3, 2], normal(1)).gather(labels(e)))).toEqual({ ...spec, range });
  });
});
