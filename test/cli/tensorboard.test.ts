/** Event files: byte by byte what TensorBoard's own writer makes, and what a training that goes on adds to them. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { MetricsRecord } from '../../cli/metrics.ts';
import { encodeEvent, EventWriter, forgetEvents, scalarsOf } from '../../cli/tensorboard.ts';
import { crc32c } from '../../runtime/checkpoint/crc32.ts';

const DATA = join(import.meta.dirname, '..', 'golden', 'data');

it('are what TensorBoard’s own writer writes', () => {
  const scalars = { loss: 0.1, 'mse by timestep/1 of 8': 3e-12, lr: 1e-4, größe: -7.5 };
  const png = readFileSync(join(DATA, 'pictures', 'grey.png'));
  const written = [
    { time: 1.5e9, version: 'brain.Event:2' },
    { time: 1500000000.25, step: 301, restart: true },
    { time: 1500000001.125, step: 70000, scalars },
    { time: 1500000002, step: 2 ** 31, images: { samples: png } },
  ].map(encodeEvent);
  expect(Buffer.concat(written).equals(readFileSync(join(DATA, 'events.tfevents')))).toBe(true);
});

/** RFC 3720, B.4. */
it.each([
  ['zeros', new Uint8Array(32), 0x8a9136aa],
  ['ones', new Uint8Array(32).fill(255), 0x62a8ab43],
  ['growing', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
])('the sum of %s is Castagnoli’s', (_, bytes, sum) => expect(crc32c(bytes)).toBe(sum));

const record = (step: number): MetricsRecord => ({
  ...{ step, epoch: 0, loss: 0.5, mse: 0.25, vb: null, gradNorm: null, lr: 1e-3 },
  ...{ buckets: { mse: [0.1, null] }, more: { entropy: 2 } },
  wall: { time: '2026-01-01T00:00:00.500Z', imagesPerSecond: 12 },
});

it('show each number that was measured', () => {
  const numbers = { loss: 0.5, mse: 0.25, lr: 1e-3, entropy: 2, imagesPerSecond: 12, 'mse by timestep/1 of 2': 0.1 };
  expect(scalarsOf(record(3))).toEqual(numbers);
});

it('are one of each process; who goes on takes back later steps first', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ditc-events-'));
  const contents = () => readdirSync(folder).map((name) => readFileSync(join(folder, name)));
  new EventWriter(folder, 4).add(record(5));
  const [bytes] = contents();
  const added = [encodeEvent({ time: 1767225600.5, step: 5, scalars: scalarsOf(record(5)) })];
  const restart = encodeEvent({ time: 0, step: 5, restart: true });
  const [version] = [encodeEvent({ time: 0, version: 'brain.Event:2' })];
  expect(bytes.length).toBe(version.length + restart.length + added[0].length);
  expect(bytes.subarray(-added[0].length).equals(added[0])).toBe(true);
  forgetEvents(folder);
  expect(contents()).toEqual([]);
});
