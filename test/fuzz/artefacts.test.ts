/**
 * A few of the cases of artefacts.ts.
 * @once
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ArtefactCases, KINDS } from './artefact-cases.ts';

let cases: ArtefactCases;
beforeAll(async () => void (cases = await ArtefactCases.open()));
afterAll(() => cases.close());

it.each(KINDS)('damage of the kind %s is refused by name, or changes nothing without a word', async (kind) => {
  const wrong: string[] = [];
  const results = new Set<string>();
  for (let number = 1; number <= 60; number++) {
    const outcome = await cases.run(kind, number);
    if (outcome.wrong) wrong.push(`${kind} ${number}: ${outcome.wrong}`);
    results.add(outcome.result);
  }
  expect(wrong).toEqual([]);
  // Cases that are all refused would show little.
  expect(results.size).toBeGreaterThan(1);
});
