/**
 * A few of the kills of kills.ts: those at any moment, inside a checkpoint, and before the first.
 * @once
 */
import { expect, it } from 'vitest';
import { CLASSES, LINEAR, SIZE } from '../cli/linear-denoiser.ts';
import { countsOf, kills, type Outcome } from './kills.ts';

it('a killed training goes on bit by bit, or begins anew, and leaves nothing behind', async () => {
  const outcomes: Outcome[] = [];
  // Few kernels: it starts quickly on any device.
  const subject = { source: LINEAR, side: SIZE, classes: CLASSES };
  await kills(4, 3, (outcome) => outcomes.push(outcome), subject);
  expect(outcomes.map(({ wrong }) => wrong)).toEqual([undefined, undefined, undefined, undefined]);
  expect(countsOf(outcomes)).toHaveProperty(['inside a checkpoint']);
}, 600_000);
