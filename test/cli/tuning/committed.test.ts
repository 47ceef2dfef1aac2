/**
 * The tuning tables that lie beside the models: builds for their devices use them by themselves, line by line as they say.
 * @once
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { shapeClass } from '../../../compiler/emit/shape-class.ts';
import { findDevice } from '../../../library/device.ts';
import { compile, loadModel } from '../../../library/model.ts';
import { readTable } from '../../../library/tuning/find.ts';
import { REPO } from '../cli.ts';

const FOLDER = join(REPO, 'tuning');

it.each(readdirSync(FOLDER))('%s', async (file) => {
  const { table } = readTable(join(FOLDER, file));
  expect(`${table.device}.txt`).toBe(file);
  const device = await findDevice(table.device);
  const notes: string[] = [];
  const watch = { phase: <T>(_: string, work: () => T) => work(), note: (note: string) => void notes.push(note) };
  const { entries } = compile(loadModel('models/digits.ts'), {
    device,
    entries: ['forward'],
    entryOptions: { batch: 1 },
    watch,
  });
  // No line is refused: that would be told too.
  expect(notes).toEqual([expect.stringMatching(new RegExp(`^tuned by .*tuning/${file}$`))]);
  const kernels = entries.flatMap(({ regions }) => regions);
  const tuned = kernels.flatMap(({ region, plan }) => {
    const line = table.lines.get(shapeClass(region, device));
    return line ? [[plan, line.plan]] : [];
  });
  for (const [plan, wanted] of tuned) expect(plan).toEqual(wanted);
  expect(tuned.length).toBeGreaterThan(kernels.length / 2);
});
