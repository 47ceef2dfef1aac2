/** Tests are sorted by what they open. */
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { testFiles } from './device-tests.ts';

const { device, once, host } = testFiles(join(import.meta.dirname, '..'));

it('what is computed on the machine’s device is computed on each', () => {
  const computing = [...device, ...once, ...host].filter((file) => dirname(file) === 'test/gpu');
  expect(computing.length).toBeGreaterThan(0);
  expect(device).toEqual(expect.arrayContaining(computing));
});

it('kernels that run in the tests’ own process run once', () => {
  expect(once).toContain('test/models/machine.test.ts');
  expect(host).not.toContain('test/models/machine.test.ts');
});
