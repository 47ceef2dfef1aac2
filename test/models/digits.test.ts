/** models/digits.ts is the model that test/golden/train_digits.py trains. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { traceEntry } from '../../compiler/dsl/model.ts';
import digits from '../../models/digits.ts';
import { matchParameters } from '../../runtime/checkpoint/match.ts';
import { openCheckpoint } from '../../runtime/checkpoint/open.ts';
import { openFile } from '../../runtime/node/file.ts';

/** The `CONFIG = dict(key=value, …)` of the training script, keys in camel case. */
function trainedConfig(): Record<string, unknown> {
  const source = readFileSync(join(import.meta.dirname, '../golden/train_digits.py'), 'utf8');
  const [, body] = /^CONFIG = dict\(([^)]*)\)/m.exec(source)!;
  const pairs = [...body.matchAll(/(\w+)=("[^"]*"|[\w.]+)/g)].map(([, key, value]) => [
    key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    JSON.parse(value.replace('True', 'true').replace('False', 'false')) as unknown,
  ]);
  return Object.fromEntries(pairs) as Record<string, unknown>;
}

it('has the configuration that was trained', () => {
  const trained = trainedConfig();
  expect(Object.keys(trained)).toHaveLength(11);
  expect(digits.config).toEqual(trained);
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
