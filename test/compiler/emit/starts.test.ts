/** Which states an entry goes on from, and who begins them. */
import { expect, it } from 'vitest';
import { constant, defineModel, ones, type Entry, type Tensor } from '../../../compiler/dsl/index.ts';
import { compileModel } from '../../../compiler/compile.ts';
import { PORTABLE } from '../../../compiler/device.ts';

const n = (e: Entry): Tensor => e.state('n', [2]);
const model = defineModel({
  config: {},
  onDemand: ['fromWeights'],
  entries: {
    noise: (e) => e.update(n(e), e.input('x', [2])),
    fromWeights: (e) => e.update(n(e), e.params.param('w', [2], ones).mul(2)),
    clear: (e) => e.update(n(e), constant(0, [2])),
    next: (e) => e.update(n(e), n(e).add(1)),
    read: (e) => ({ out: n(e).mul(3) }),
    setOnes: (e) => e.update(e.state('m', [2], 'f32', ones), constant(1, [2])),
    setZeros: (e) => e.update(e.state('m', [2], 'f32', ones), constant(0, [2])),
    other: (e) => ({ out: e.state('m', [2], 'f32', ones).mul(3) }),
    wrongOptions: (e) => ({ out: e.input('x', [2]).add(e.input('y', [3])) }),
  },
});

function startedBy(entry: string, ...besides: string[]) {
  const entries = [entry, ...besides];
  const options = { name: 'm', source: '', device: PORTABLE, entries, entryOptions: { batch: 1 } };
  return compileModel(model, options).manifest.entries[entry].startedBy;
}

it('what sets a state without reading any begins it, for whoever reads it', () => {
  expect(startedBy('next', 'noise')).toEqual({ n: ['noise'] });
  expect(startedBy('read', 'noise', 'fromWeights')).toEqual({ n: ['noise', 'fromWeights'] });
  expect(startedBy('noise', 'fromWeights')).toBeUndefined();
});

it('entries that are not compiled count, those on demand too, where no compiled one begins it', () => {
  expect(startedBy('read')).toEqual({ n: ['noise', 'fromWeights'] });
  expect(startedBy('read', 'next')).toEqual({ n: ['noise', 'fromWeights'] });
});

it('what gives a state the value that it has anyway begins nothing', () => {
  expect(startedBy('read', 'clear')).toEqual({ n: ['noise', 'fromWeights'] });
});

it('a state that the model declares with values of its own has begun', () => {
  expect(startedBy('other', 'setOnes', 'setZeros')).toBeUndefined();
});
