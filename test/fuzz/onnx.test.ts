/** A few of the tries of onnx.ts. */
import { expect, it } from 'vitest';
import { fuzzNetworks } from './onnx.ts';

it('a changed network is read, or refused by an error that names it', async () => {
  const faults: string[] = [];
  const { read, refused } = await fuzzNetworks(2000, 1, (fault) => void faults.push(fault));
  expect(faults).toEqual([]);
  // Tries that all end alike would show little.
  expect(Math.min(read, refused)).toBeGreaterThan(200);
}, 240_000);
