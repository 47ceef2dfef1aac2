/** models/digits.ts is the model that test/golden/train_digits.py trains. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import digits from '../../models/digits.ts';
import { matchParameters } from '../../runtime/checkpoint/match.ts';
import { openCheckpoint } from '../../runtime/checkpoint/open.ts';
import { openFile } from '../../runtime/node/file.ts';

const script = readFileSync(join(import.meta.dirname, '../golden/train_digits.py'), 'utf8');

/** The `NAME = dict(key=value, …)` of the training script, keys in camel case. */
function trained(name: string): Record<string, unknown> {
  const [, body] = new RegExp(`^${name} = dict\\(([^)]*)\\)`, 'm').exec(script)!;
  const pairs = [...body.matchAll(/(\w+)=("[^"]*"|[\w.]+)/g)].map(([, key, value]) => [
    key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    JSON.parse(value.replace('True', 'true').replace('False', 'false')) as unknown,
  ]);
  return Object.fromEntries(pairs) as Record<string, unknown>;
}

it('has the configuration that was trained', () => {
  const [network, flow] = [trained('CONFIG'), trained('FLOW')];
  expect([Object.keys(network).length, Object.keys(flow).length]).toEqual([11, 3]);
  expect(digits.config).toEqual({ ...network, flow });
});

it('has weights beside it, all of them', async () => {
  const source = await openFile(join(import.meta.dirname, '../../models/digits.safetensors'));
  const file = await openCheckpoint(source);
  try {
    const { params } = traceEntry(digits, 'forward', { batch: 1 });
    const specs = params.map(({ node }) => ({ name: String(node.attrs.name), shape: node.type.shape }));
    expect(matchParameters(file, specs).extra).toEqual([]);
  } finally {
    await file.close();
  }
});

it('says that its samples are pictures in [−1, 1]', () => {
  expect(digits.picture).toEqual({ range: [-1, 1] });
  expect(Object.keys(digits.entries)).toEqual(expect.arrayContaining(['forward', 'sampleStart', 'sampleStep']));
});
